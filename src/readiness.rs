//! Whether the model is there: both ports answer from the start, and by this.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{SetOnce, watch};

use crate::engine::{Engine, Health};
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

/// Where a server is between its start and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Its model is being loaded.
    Loading,
    /// It takes calls.
    Serving,
    /// A model thread died, of this.
    Dead(String),
    /// It was told to stop: what has begun may finish.
    Draining,
}

impl Phase {
    /// Whether it is the last one.
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Dead(_) | Self::Draining)
    }
}

/// Whether there is a model yet. Cheap to clone, and all clones tell the same.
#[derive(Clone)]
pub struct Readiness {
    model: Arc<SetOnce<ServedModel>>,
    draining: watch::Sender<bool>,
}

impl Readiness {
    /// There will be one.
    pub fn loading() -> Self {
        Self { model: Arc::default(), draining: watch::Sender::new(false) }
    }

    /// There is one from now on.
    pub fn serve(&self, model: ServedModel) {
        // A second model would be a fault of the caller; the first goes on serving.
        let _ = self.model.set(model);
    }

    /// The server is told to stop.
    pub fn drain(&self) {
        self.draining.send_replace(true);
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
        Ok(&self.served()?.engine)
    }

    /// The model, as who needs it asks for it.
    ///
    /// # Errors
    /// [`Error::Busy`] while there is none.
    pub fn served(&self) -> Result<&ServedModel> {
        self.model().ok_or_else(|| Error::Busy("the model is being loaded; try again later".to_owned()))
    }

    /// Where the server is.
    pub fn phase(&self) -> Phase {
        match self.model().map(|model| model.engine.health()) {
            Some(Health::Dead(cause)) => Phase::Dead(cause),
            _ if *self.draining.borrow() => Phase::Draining,
            None => Phase::Loading,
            Some(Health::Serving) => Phase::Serving,
        }
    }

    /// Waits for what comes after `phase`. After the last nothing does.
    pub async fn after(&self, phase: &Phase) -> Option<Phase> {
        let mut draining = self.draining.subscribe();
        tokio::select! {
            next = self.next(phase) => next,
            // The sender is ours, and cannot be gone.
            _ = draining.wait_for(|draining| *draining), if !phase.is_last() => Some(self.phase()),
        }
    }

    /// The same where nobody stops the server.
    async fn next(&self, phase: &Phase) -> Option<Phase> {
        match (phase, self.model()) {
            (Phase::Serving, Some(model)) => Some(Phase::Dead(model.engine.died().await.to_string())),
            (Phase::Loading | Phase::Serving, _) => {
                self.model.wait().await;
                Some(self.phase())
            }
            (Phase::Dead(_) | Phase::Draining, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use futures::FutureExt;

    use super::*;
    use crate::engine::Lane;
    use crate::engine::testing::Fake;

    /// All phases from now on, the last one being there already.
    fn phases(readiness: &Readiness) -> Vec<Phase> {
        let mut phases = vec![readiness.phase()];
        while let Some(Some(next)) = phases.last().and_then(|phase| readiness.after(phase).now_or_never()) {
            phases.push(next);
        }
        phases
    }

    #[tokio::test]
    async fn a_server_loads_serves_and_drains() {
        let readiness = Readiness::loading();
        assert_eq!(phases(&readiness), [Phase::Loading]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.after(&Phase::Loading).await }
        });
        readiness.serve(ServedModel::new(Fake::engine(8), String::new()));
        assert_eq!(waiting.await.unwrap(), Some(Phase::Serving));
        assert_eq!(phases(&readiness), [Phase::Serving]);
        readiness.drain();
        assert_eq!(readiness.after(&Phase::Serving).await, Some(Phase::Draining));
        assert_eq!(phases(&readiness), [Phase::Draining]);
    }

    #[tokio::test]
    async fn a_model_that_is_not_awaited_any_more_is_not_served() {
        let readiness = Readiness::loading();
        readiness.drain();
        assert_eq!(readiness.after(&Phase::Loading).await, Some(Phase::Draining));
        assert_eq!(phases(&readiness), [Phase::Draining]);
    }

    #[tokio::test]
    async fn a_dead_engine_stays_dead() {
        let readiness = Readiness::loading();
        let engine = Fake::engine(8);
        readiness.serve(ServedModel::new(engine.clone(), String::new()));
        assert!(engine.score(StringViewArray::from(vec!["lost"]), Lane::Bulk).await.is_err());
        let dead = readiness.after(&Phase::Serving).await.unwrap();
        assert!(matches!(&dead, Phase::Dead(cause) if cause.contains("the GPU is lost")), "{dead:?}");
        readiness.drain();
        assert_eq!(readiness.after(&dead).await, None);
        assert!(matches!(readiness.phase(), Phase::Dead(_)));
    }
}
