//! What uploads the parts of an object, one upload a task, and notes how to take them back.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, ObjectStoreExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use super::{End, Order};
use crate::store::failure::Fault;
use crate::store::stores::fault;
use crate::store::{ObjectUrl, Stores};

/// Parts that are under way at once. One more waits, and one is filled.
const PARTS_IN_FLIGHT: usize = 2;

/// Where an upload goes.
pub struct UploadPlace {
    pub stores: Stores,
    pub store: Arc<dyn ObjectStore>,
    pub uploads: Arc<dyn MultipartStore>,
    pub path: Path,
    pub url: ObjectUrl,
    /// Where the next process reads how to take it back.
    pub note: ObjectUrl,
}

/// Uploads what it is given.
pub(super) struct UploadTask {
    place: UploadPlace,
    multipart: Option<MultipartId>,
    /// Parts that are under way, by their numbers, and their bytes.
    sending: JoinSet<(usize, usize, object_store::Result<PartId>)>,
    /// Those that the store has.
    ids: Vec<Option<PartId>>,
    /// All of an object that is no larger than a part.
    whole: Option<Bytes>,
    is_complete: bool,
}

impl UploadTask {
    pub(super) fn new(place: UploadPlace) -> Self {
        let (sending, ids) = (JoinSet::new(), Vec::new());
        Self { place, multipart: None, sending, ids, whole: None, is_complete: false }
    }

    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut end: oneshot::Receiver<End>,
        broken: Arc<Mutex<Option<Fault>>>,
    ) {
        loop {
            let order = tokio::select! {
                biased;
                end = &mut end => return self.end(end.ok()).await,
                order = orders.recv() => order,
            };
            let Some(order) = order else { break };
            if let Err(fault) = self.obey(order).await {
                *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                break;
            }
        }
        // The writer is told at its next order.
        drop(orders);
        let end = end.await.ok();
        self.end(end).await;
    }

    async fn obey(&mut self, order: Order) -> Result<(), Fault> {
        match order {
            Order::Part(part) => self.put(part).await,
            Order::Last(last, done) => {
                if self.multipart.is_none() {
                    self.whole = Some(last);
                } else if !last.is_empty() {
                    self.put(last).await?;
                }
                self.fewer_than(1).await?;
                self.is_complete = true;
                // A writer that has gone needs no answer.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    async fn put(&mut self, part: Bytes) -> Result<(), Fault> {
        self.fewer_than(PARTS_IN_FLIGHT).await?;
        let id = self.begun().await?;
        let (number, len) = (self.ids.len(), part.len());
        self.ids.push(None);
        let UploadPlace { stores, uploads, path, .. } = &self.place;
        stores.counters().add_request();
        let (uploads, path) = (Arc::clone(uploads), path.clone());
        self.sending.spawn(async move { (number, len, uploads.put_part(&path, &id, number, part.into()).await) });
        Ok(())
    }

    /// The upload in parts, noted for whoever comes next.
    async fn begun(&mut self) -> Result<MultipartId, Fault> {
        if let Some(id) = &self.multipart {
            return Ok(id.clone());
        }
        let UploadPlace { stores, uploads, path, url, note, .. } = &self.place;
        stores.counters().add_request();
        let id = uploads.create_multipart(path).await.map_err(|error| fault(url, &error))?;
        self.multipart = Some(id.clone());
        stores.put(note, Bytes::from(id.clone())).await.map_err(Fault::local)?;
        Ok(id)
    }

    /// Waits until so few parts are under way.
    async fn fewer_than(&mut self, most: usize) -> Result<(), Fault> {
        while self.sending.len() >= most {
            let Some(joined) = self.sending.join_next().await else { break };
            let (number, len, sent) = joined.map_err(Fault::local)?;
            let id = sent.map_err(|error| fault(&self.place.url, &error))?;
            self.ids[number] = Some(id);
            self.place.stores.counters().add_written(len);
        }
        Ok(())
    }

    async fn end(mut self, end: Option<End>) {
        match end {
            Some(End::Commit(reply)) => {
                let done = self.commit().await;
                if done.is_err() {
                    self.abort().await;
                }
                // Who has gone needs no answer.
                let _ = reply.send(done);
            }
            Some(End::Abort(reply)) => {
                self.abort().await;
                let _ = reply.send(());
            }
            None => self.abort().await,
        }
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        if !self.is_complete {
            return Err(Fault::local("not all of it was written"));
        }
        let UploadPlace { stores, store, uploads, path, url, .. } = &self.place;
        stores.counters().add_request();
        let committed = match &self.multipart {
            Some(id) => {
                let ids = self.ids.drain(..).flatten().collect();
                uploads.complete_multipart(path, id, ids).await.map(drop)
            }
            None => {
                let whole = self.whole.take().unwrap_or_default();
                let len = whole.len();
                let put = store.put(path, whole.into()).await;
                stores.counters().add_written(if put.is_ok() { len } else { 0 });
                put.map(drop)
            }
        };
        committed.map_err(|error| fault(url, &error))?;
        self.forget().await;
        Ok(())
    }

    async fn abort(&mut self) {
        self.sending.shutdown().await;
        let Some(id) = &self.multipart else { return };
        let UploadPlace { uploads, path, url, .. } = &self.place;
        match uploads.abort_multipart(path, id).await {
            Ok(()) => self.forget().await,
            // What stays is seen by nobody, and whoever comes next reads of it. The library's words may have a signature in them.
            Err(error) => debug!("{url}: parts of an upload stay: {}", fault(url, &error)),
        }
    }

    /// Takes the note away: there are no parts any more.
    async fn forget(&mut self) {
        let UploadPlace { stores, note, .. } = &self.place;
        if self.multipart.take().is_some()
            && let Err(error) = stores.delete(note).await
        {
            debug!("a note of an upload stays: {error}");
        }
    }
}
