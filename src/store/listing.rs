//! A listing that goes on where it broke off: the library makes a request again that fails, and none whose answer breaks off.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::attempts::Attempts;
use super::failure::{Fault, unlisted};
use super::url::ObjectUrl;
use crate::Result;

/// The objects below a folder.
pub struct Listing {
    store: Arc<dyn ObjectStore>,
    folder: ObjectUrl,
    below: Option<Path>,
    listed: BoxStream<'static, object_store::Result<ObjectMeta>>,
    /// The last that came.
    last: Option<Path>,
    attempts: Attempts,
}

impl Listing {
    /// From the first on.
    pub fn new(store: Arc<dyn ObjectStore>, folder: ObjectUrl, path: Path, attempts: Attempts) -> Self {
        let below = Some(path).filter(|path| !path.as_ref().is_empty());
        let listed = store.list(below.as_ref());
        Self { store, folder, below, listed, last: None, attempts }
    }

    /// The next, if there is one.
    pub async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        loop {
            match self.listed.next().await.transpose() {
                Ok(found) => {
                    self.last = found.as_ref().map(|meta| meta.location.clone());
                    self.attempts.renew();
                    return Ok(found);
                }
                Err(error) => {
                    let fault = Fault::of(self.folder.root.kind, &error);
                    self.attempts.spend(fault).map_err(|_| unlisted(&self.folder, &error))?;
                    self.listed = match &self.last {
                        None => self.store.list(self.below.as_ref()),
                        Some(last) => self.store.list_with_offset(self.below.as_ref(), last),
                    };
                }
            }
        }
    }
}
