//! An object that is read.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt};
use tokio_util::task::AbortOnDropHandle;

use super::failure::Fault;
use super::stores::{entry, fault};
use super::{StoredObject, Stores};

/// How many bytes are asked for at once, and how many times over at the same time.
const PART: u64 = 4 << 20;
const PARTS_IN_FLIGHT: usize = 3;

/// An object as it was when it was opened: reading one that has changed since is an error. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Object {
    stores: Stores,
    store: Arc<dyn ObjectStore>,
    path: Path,
    entry: StoredObject,
}

impl Object {
    pub(super) const fn new(stores: Stores, store: Arc<dyn ObjectStore>, path: Path, entry: StoredObject) -> Self {
        Self { stores, store, path, entry }
    }

    /// What it was when it was opened.
    pub const fn entry(&self) -> &StoredObject {
        &self.entry
    }

    /// Where it is.
    pub const fn url(&self) -> &super::ObjectUrl {
        &self.entry.url
    }

    /// Blocks until `future` is done: for threads that may.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.stores.wait(future)
    }

    /// Lets `future` go on by itself until what is returned is dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> AbortOnDropHandle<T> {
        AbortOnDropHandle::new(self.stores.runtime().spawn(future))
    }

    /// What it is now.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn now(&self) -> Result<StoredObject, Fault> {
        self.stores.counters().add_request();
        let found = self.store.head(&self.path).await.map_err(|error| fault(&self.entry.url, &error))?;
        Ok(entry(self.entry.url.clone(), found))
    }

    /// These bytes of it, each asked for once: after a broken connection the rest is asked for.
    ///
    /// # Errors
    /// Why the store does not give them.
    pub(crate) async fn fetch(&self, range: Range<u64>) -> Result<Bytes, Fault> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::new();
        let mut retries = self.stores.retries();
        while bytes.len() < len {
            let before = bytes.len();
            // What fails here has been tried again already.
            let found = self.ask(range.start + before as u64..range.end).await?;
            let Err(fault) = self.take(found, &mut bytes, len).await else { break };
            if bytes.len() > before {
                retries.renew();
            }
            retries.wait(fault).await?;
        }
        Ok(bytes.freeze())
    }

    async fn ask(&self, range: Range<u64>) -> Result<GetResult, Fault> {
        let options = GetOptions { range: Some(range.into()), if_match: self.strong_etag(), ..GetOptions::default() };
        self.stores.counters().add_request();
        let found = self.store.get_opts(&self.path, options).await.map_err(|error| fault(&self.entry.url, &error))?;
        self.check(&found)?;
        Ok(found)
    }

    /// Reads on until there are `len` bytes.
    async fn take(&self, found: GetResult, bytes: &mut BytesMut, len: usize) -> Result<(), Fault> {
        let mut stream = found.into_stream();
        while let Some(piece) = stream.try_next().await.map_err(|error| fault(&self.entry.url, &error))? {
            if bytes.capacity() == 0 {
                bytes.reserve(len);
            }
            let piece = &piece[..piece.len().min(len - bytes.len())];
            self.stores.counters().add_read(piece.len());
            bytes.extend_from_slice(piece);
        }
        if bytes.len() < len { Err(Fault::cut_off()) } else { Ok(()) }
    }

    /// By which the store itself sees to it that the object is still the same one. A weak one matches nothing.
    fn strong_etag(&self) -> Option<String> {
        self.entry.etag.as_deref().filter(|etag| !etag.starts_with("W/")).map(str::to_owned)
    }

    /// Not all stores heed what they are asked to.
    fn check(&self, found: &GetResult) -> Result<(), Fault> {
        let now = entry(self.entry.url.clone(), found.meta.clone());
        let is_same = match (&now.etag, &self.entry.etag) {
            (Some(now), Some(opened)) => now == opened,
            _ => now.modified == self.entry.modified,
        };
        if is_same && now.len == self.entry.len { Ok(()) } else { Err(Fault::changed()) }
    }

    /// These bytes of it, in order: a few requests are under way at once, also while nobody takes what has come.
    pub(crate) fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Fault>> {
        let object = self.clone();
        let starts = (range.start..range.end).step_by(PART as usize);
        let parts = starts.map(move |start| start..range.end.min(start + PART));
        let fetched = futures::stream::iter(parts).map(move |part| {
            let object = object.clone();
            object.clone().spawn(async move { object.fetch(part).await })
        });
        let joined = fetched.buffered(PARTS_IN_FLIGHT);
        joined.map(|joined| joined.unwrap_or_else(|died| Err(Fault::local(died)))).boxed()
    }
}
