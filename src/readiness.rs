//! Whether the model is there: both ports answer from the start, and by this.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::SetOnce;

use crate::engine::Engine;
use crate::{Error, Result};

/// A model that is served.
pub struct ServedModel {
    /// What scores.
    pub engine: Engine,
    /// The checkpoint's version, in hexadecimal.
    pub version: String,
    /// When it was there.
    pub loaded_at: SystemTime,
}

impl ServedModel {
    /// A model that is there now.
    pub fn new(engine: Engine, version: String) -> Self {
        Self { engine, version, loaded_at: SystemTime::now() }
    }
}

/// Whether there is a model yet. Cheap to clone, and all clones tell the same.
#[derive(Clone, Default)]
pub struct Readiness {
    model: Arc<SetOnce<ServedModel>>,
}

impl Readiness {
    /// There will be one.
    pub fn loading() -> Self {
        Self::default()
    }

    /// There is one from now on.
    pub fn serve(&self, model: ServedModel) {
        // A second model would be a fault of the caller; the first goes on serving.
        let _ = self.model.set(model);
    }

    /// The model, once it is there.
    pub fn model(&self) -> Option<&ServedModel> {
        self.model.get()
    }

    /// What scores.
    ///
    /// # Errors
    /// [`Error::Busy`] while there is nothing.
    pub fn engine(&self) -> Result<&Engine> {
        let model = self.model().ok_or_else(|| Error::Busy("the model is being loaded; try again later".to_owned()))?;
        Ok(&model.engine)
    }
}
