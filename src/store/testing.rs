//! A store in memory that counts, and that fails when it is told to.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::{Handle, Runtime};

use super::{FileLocation, ObjectUrl, StoreOptions, Stores};

/// Stores with one bucket, `s3://bucket`, that lies in memory.
pub(crate) fn stores() -> (Stores, Arc<Counting>) {
    let (stores, counting) = (Stores::new(StoreOptions::default(), Handle::current()), Arc::<Counting>::default());
    stores.put_store(&url(""), Arc::clone(&counting));
    (stores, counting)
}

/// Stores that nobody asks, where there is no runtime.
pub(crate) fn unused() -> Stores {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap());
    Stores::new(StoreOptions::default(), RUNTIME.handle().clone())
}

/// The URL of a key in that bucket.
pub(crate) fn url(key: &str) -> ObjectUrl {
    url_of(&format!("s3://bucket/{key}"))
}

/// The URL of an object.
pub(crate) fn url_of(text: &str) -> ObjectUrl {
    match FileLocation::parse(text.as_ref()) {
        Ok(FileLocation::Object(url)) => url,
        other => panic!("{other:?}"),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: InMemory,
    /// Ranges that were asked for.
    gets: Mutex<Vec<Range<u64>>>,
    /// What HEAD is answered with.
    refused: Mutex<Option<&'static str>>,
    /// How many answers are still to break off in the middle.
    pub breaks: AtomicUsize,
    /// How many parts are still to fail.
    pub refusals: AtomicUsize,
    /// How many objects are still to be written, or deleted, and who asks is told that they are not.
    pub lost: AtomicUsize,
    /// How many listings are still to break off.
    pub cut: AtomicUsize,
}

impl Counting {
    /// Refuses HEAD in these words from now on.
    pub(crate) fn refuse_head(&self, words: &'static str) {
        *self.refused.lock().unwrap() = Some(words);
    }

    /// The ranges that were asked for since the last time, in order of their places.
    pub(crate) fn take_gets(&self) -> Vec<Range<u64>> {
        let mut gets = std::mem::take(&mut *self.gets.lock().unwrap());
        gets.sort_by_key(|range| (range.start, range.end));
        gets
    }
}

fn takes_one(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: "HTTP error: connection closed".into() }
}

impl std::fmt::Display for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(path, payload, options).await;
        if takes_one(&self.lost) { Err(broken()) } else { put }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        if let Some(words) = self.refused.lock().unwrap().filter(|_| head) {
            return Err(object_store::Error::Generic { store: "test", source: words.into() });
        }
        let range = options.range.clone();
        let found = self.inner.get_opts(path, options).await?;
        if head {
            return Ok(found);
        }
        if let Some(GetRange::Bounded(range)) = range {
            self.gets.lock().unwrap().push(range);
        }
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let extensions = found.extensions.clone();
        let mut bytes = found.bytes().await?;
        let end = if takes_one(&self.breaks) {
            bytes.truncate(bytes.len() / 2);
            Some(Err(broken()))
        } else {
            None
        };
        let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(bytes.slice_ref(piece))).collect();
        let payload = GetResultPayload::Stream(futures::stream::iter(pieces.into_iter().chain(end)).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let is_lost = takes_one(&self.lost);
        let deleted = self.inner.delete_stream(paths);
        deleted.map(move |done| if is_lost { Err(broken()) } else { done }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        if takes_one(&self.cut) {
            return listed.take(1).chain(futures::stream::iter([Err(broken())])).boxed();
        }
        listed
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Counting {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        if takes_one(&self.refusals) {
            return Err(broken());
        }
        self.inner.create_multipart(path).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, number: usize, part: PutPayload) -> Result<PartId> {
        self.inner.put_part(path, id, number, part).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.inner.abort_multipart(path, id).await
    }
}
