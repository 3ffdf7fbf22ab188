//! One store a bucket, and what is done with whole objects.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
#[cfg(test)]
use object_store::multipart::MultipartStore;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::bucket::{Bucket, bucket_of};
use super::failure::{Fault, FaultKind, is_refusal, unlisted};
use super::retries::Retries;
use super::url::Root;
use super::{Object, ObjectUrl, StoreCounters, StoreOptions};
use crate::{Error, Result};

/// The stores of a process. Cheap to clone; all clones are the same ones.
#[derive(Debug, Clone)]
pub struct Stores {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: StoreOptions,
    opened: Mutex<HashMap<Root, Bucket>>,
    counters: StoreCounters,
    runtime: Handle,
    uploads: TaskTracker,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Where.
    pub url: ObjectUrl,
    /// In bytes.
    pub len: u64,
    /// When it was written.
    pub modified: SystemTime,
    /// What the store knows its content by, where it says so.
    pub etag: Option<Arc<str>>,
}

impl Stores {
    /// Stores by what the environment says, and by `options` where they say otherwise. What blocks is done by `runtime`, which has
    /// several threads.
    pub fn new(options: StoreOptions, runtime: Handle) -> Self {
        let (opened, counters) = (Mutex::default(), StoreCounters::default());
        Self { shared: Arc::new(Shared { options, opened, counters, runtime, uploads: TaskTracker::new() }) }
    }

    /// What was counted.
    pub fn counters(&self) -> &StoreCounters {
        &self.shared.counters
    }

    /// Blocks until `future` is done: for threads that may, and within tasks of a runtime of several threads.
    ///
    /// # Panics
    /// Within a task of a runtime of one thread, which nobody else would run meanwhile.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::task::block_in_place(|| self.shared.runtime.block_on(future))
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none, [`Error::Denied`] and [`Error::Unauthenticated`] where it is not ours to know,
    /// [`Error::Invalid`] for options that are wrong, and [`Error::File`] where the store cannot be reached or fails.
    pub async fn head(&self, url: &ObjectUrl) -> Result<StoredObject> {
        let (store, path) = self.store(url)?;
        self.shared.counters.add_request();
        let mut found = store.head(&path).await;
        if found.as_ref().is_err_and(is_refusal) {
            // What is wrong stands in the body, which the answer to HEAD never has. And who may only GET is told all the same.
            self.shared.counters.add_request();
            let got = store.get_opts(&path, GetOptions::new().with_range(Some(0..1))).await;
            found = got.map(|got| got.meta);
        }
        found.map(|meta| entry(url.clone(), meta)).map_err(|error| fault(url, &error).at(url))
    }

    /// Whether there is such an object.
    ///
    /// # Errors
    /// As [`Stores::head`], but for [`Error::NotFound`].
    pub async fn is_there(&self, url: &ObjectUrl) -> Result<bool> {
        match self.head(url).await {
            Err(Error::NotFound(_)) => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// What `take` makes of the objects below a folder, also of those in folders below it, in no order. A listing that breaks off is
    /// begun anew: not every store lists by name, to go on from one.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn list<T>(&self, folder: &ObjectUrl, take: impl Fn(StoredObject) -> Option<T>) -> Result<Vec<T>> {
        let (store, path) = self.store(folder)?;
        let below = Some(path).filter(|path| !path.as_ref().is_empty());
        let taken = |meta: ObjectMeta| take(entry(folder.with_path(&meta.location), meta));
        let mut retries = self.retries();
        self.shared.counters.add_request();
        loop {
            let listed = store.list(below.as_ref()).try_filter_map(|meta| ready(Ok(taken(meta))));
            match listed.try_collect().await {
                Ok(listed) => return Ok(listed),
                Err(error) => retries.wait(fault(folder, &error)).await.map_err(|fault| unlisted(folder, fault))?,
            }
        }
    }

    /// Whether nothing lies below a folder.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn is_empty(&self, folder: &ObjectUrl) -> Result<bool> {
        let (store, path) = self.store(folder)?;
        let below = Some(path).filter(|path| !path.as_ref().is_empty());
        let mut retries = self.retries();
        self.shared.counters.add_request();
        loop {
            match store.list(below.as_ref()).try_next().await {
                Ok(first) => return Ok(first.is_none()),
                Err(error) => retries.wait(fault(folder, &error)).await.map_err(|fault| unlisted(folder, fault))?,
            }
        }
    }

    /// A whole object of at most `most` bytes.
    ///
    /// # Errors
    /// As [`Stores::head`], and [`Error::TooLarge`].
    pub async fn get(&self, url: &ObjectUrl, most: u64) -> Result<Bytes> {
        let (store, path) = self.store(url)?;
        self.shared.counters.add_request();
        let found = store.get(&path).await.map_err(|error| fault(url, &error).at(url))?;
        if found.meta.size > most {
            return Err(Error::TooLarge(format!("{url}: has {} bytes; at most {most} are taken", found.meta.size)));
        }
        let bytes = found.bytes().await.map_err(|error| fault(url, &error).at(url))?;
        self.shared.counters.add_read(bytes.len());
        Ok(bytes)
    }

    /// Writes a whole object, in place of one that is there.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn put(&self, url: &ObjectUrl, bytes: Bytes) -> Result<()> {
        let (store, path) = self.writable(url)?;
        self.shared.counters.add_request();
        let len = bytes.len();
        store.put(&path, bytes.into()).await.map_err(|error| fault(url, &error).at(url))?;
        self.shared.counters.add_written(len);
        Ok(())
    }

    /// Writes a whole object if there is none, and says whether there was none; where an answer was lost, what is there may be what it
    /// wrote. A store that cannot tell writes it.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn put_new(&self, url: &ObjectUrl, bytes: Bytes) -> Result<bool> {
        let (store, path) = self.writable(url)?;
        let mut retries = self.retries();
        self.shared.counters.add_request();
        loop {
            match store.put_opts(&path, bytes.clone().into(), PutMode::Create.into()).await {
                Ok(_) => {
                    self.shared.counters.add_written(bytes.len());
                    return Ok(true);
                }
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    return Ok(false);
                }
                Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                    return self.put(url, bytes).await.map(|()| true);
                }
                Err(error) => retries.wait(fault(url, &error)).await.map_err(|fault| fault.at(url))?,
            }
        }
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn delete(&self, url: &ObjectUrl) -> Result<()> {
        let (store, path) = self.writable(url)?;
        let mut retries = self.retries();
        self.shared.counters.add_request();
        loop {
            match store.delete(&path).await.map_err(|error| fault(url, &error)) {
                Err(fault) if fault.kind() != FaultKind::Missing => {
                    retries.wait(fault).await.map_err(|fault| fault.at(url))?;
                }
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn retries(&self) -> Retries {
        Retries::new(&self.shared.options.limits)
    }

    /// Opens an object to read it.
    ///
    /// # Errors
    /// As [`Stores::head`].
    pub async fn open(&self, url: &ObjectUrl) -> Result<Object> {
        let entry = self.head(url).await?;
        let (store, path) = self.store(url)?;
        Ok(Object::new(self.clone(), store, path, entry))
    }

    /// Fails if nothing can be written there, as far as the URL tells.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_writable(&self, url: &ObjectUrl) -> Result<()> {
        if url.is_folder() {
            return Err(Error::Invalid(format!("-o {url}: a folder; name the object to write")));
        }
        self.writable(url).map(drop)
    }

    /// Waits until uploads that were given up are taken back, but no longer than this.
    pub async fn settle(&self, most: Duration) {
        self.shared.uploads.close();
        // What stays is seen by nobody.
        let _ = tokio::time::timeout(most, self.shared.uploads.wait()).await;
    }

    /// Uploads that are under way.
    pub(super) fn uploads(&self) -> &TaskTracker {
        &self.shared.uploads
    }

    pub(super) fn writable(&self, url: &ObjectUrl) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path)> {
        url.check_writable()?;
        self.store(url)
    }

    fn store(&self, url: &ObjectUrl) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path)> {
        let path = url.path()?;
        Ok((self.bucket(url)?.objects, path))
    }

    pub(super) fn bucket(&self, url: &ObjectUrl) -> Result<Bucket> {
        let mut opened = self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = opened.get(&url.root) {
            return Ok(bucket.clone());
        }
        let bucket = bucket_of(&url.root, &self.shared.options)?;
        opened.insert(url.root.clone(), bucket.clone());
        Ok(bucket)
    }

    /// Puts a store in place of the one that a URL would lead to.
    #[cfg(test)]
    pub(crate) fn put_store<S: ObjectStore + MultipartStore>(&self, url: &ObjectUrl, store: Arc<S>) {
        self.shared.opened.lock().unwrap().insert(url.root.clone(), Bucket::new(store));
    }
}

pub(super) fn fault(url: &ObjectUrl, error: &object_store::Error) -> Fault {
    Fault::of(url.root.kind, error)
}

pub(super) fn entry(url: ObjectUrl, meta: ObjectMeta) -> StoredObject {
    StoredObject { url, len: meta.size, modified: meta.last_modified.into(), etag: meta.e_tag.map(Into::into) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::store::FileLocation;
    use crate::store::testing::{stores, url};

    #[tokio::test]
    async fn small_objects_come_and_go() {
        let (stores, _counting) = stores();
        for key in ["a/1", "a/b/2", "ab"] {
            stores.put(&url(key), Bytes::from_static(b"text")).await.unwrap();
        }
        let listed = stores.list(&url("a"), Some).await.unwrap();
        let mut names: Vec<_> = listed.iter().map(|entry| entry.url.to_string()).collect();
        names.sort();
        assert_eq!(names, ["s3://bucket/a/1", "s3://bucket/a/b/2"]);
        assert_eq!(listed[0], stores.head(&listed[0].url).await.unwrap());
        assert_eq!(stores.list(&url(""), Some).await.unwrap().len(), 3);
        assert!(!stores.is_empty(&url("a")).await.unwrap() && stores.is_empty(&url("b")).await.unwrap());
        assert!(matches!(stores.get(&url("ab"), 3).await, Err(Error::TooLarge(_))));
        for _ in 0..2 {
            stores.delete(&url("ab")).await.unwrap();
        }
        assert!(matches!(stores.get(&url("ab"), 9).await, Err(Error::NotFound(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_off_is_asked_for_again() {
        let (stores, counting) = stores();
        for key in ["a", "b", "c"] {
            stores.put(&url(key), Bytes::from_static(b"text")).await.unwrap();
        }
        for cut in 0..=4 {
            counting.cut.store(cut, Ordering::Relaxed);
            let mut names = stores.list(&url(""), |found| Some(found.url.to_string())).await.unwrap();
            names.sort();
            assert_eq!(names, ["s3://bucket/a", "s3://bucket/b", "s3://bucket/c"], "each is there once");
        }
        counting.cut.store(5, Ordering::Relaxed);
        let error = stores.list(&url(""), Some).await.unwrap_err().to_string();
        assert_eq!(error, "s3://bucket/: the store cannot be reached: connection closed");
        counting.lost.store(4, Ordering::Relaxed);
        stores.delete(&url("a")).await.unwrap();
        counting.lost.store(5, Ordering::Relaxed);
        stores.delete(&url("b")).await.unwrap_err();
        assert_eq!(stores.list(&url(""), Some).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn who_may_only_get_knows_of_an_object_all_the_same() {
        let (stores, counting) = stores();
        stores.put(&url("a"), Bytes::from_static(b"text")).await.unwrap();
        let known = stores.head(&url("a")).await.unwrap();
        counting.refuse_head("Server returned non-2xx status code: 403 Forbidden");
        assert_eq!(stores.head(&url("a")).await.unwrap(), known);
        assert_eq!(counting.take_gets(), std::slice::from_ref(&(0..1)));
        for passing in ["HTTP error: connection closed", "Server returned non-2xx status code: 503 Service Unavailable"]
        {
            counting.refuse_head(passing);
            stores.head(&url("a")).await.unwrap_err();
            assert_eq!(counting.take_gets(), [], "what may pass is not asked again");
        }
    }

    #[tokio::test]
    async fn a_server_is_read_and_not_written() {
        let (stores, _counting) = stores();
        let location = FileLocation::parse("https://host/a".as_ref()).unwrap();
        let error = stores.put(location.object().unwrap(), Bytes::new()).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.starts_with("https://host/a: ")), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_soon() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stores = Stores::new(StoreOptions::default(), Handle::current());
        let location = FileLocation::parse(format!("http://{gone}/a").as_ref()).unwrap();
        let error = stores.head(location.object().unwrap()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("http://{gone}/a: the store cannot be reached: ")), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}
