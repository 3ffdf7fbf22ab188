//! An object that is written, in parts of a few MiB: nothing is seen under its name before it is committed.

mod task;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

pub(super) use self::task::UploadPlace;
use self::task::UploadTask;
use super::ObjectUrl;
use super::failure::Fault;
use crate::Result;

/// Bytes of the smallest part.
const PART: usize = 8 << 20;

/// Parts that an object may have is 10,000: of one whose length is about known this many are planned, the rest is for more.
const PARTS_PLANNED: u64 = 9_000;

/// An object that is being written. What was written of it goes away with this value unless it is committed.
#[derive(Debug)]
pub struct ObjectUpload {
    url: ObjectUrl,
    end: Option<oneshot::Sender<End>>,
}

/// Takes the bytes of an object. Blocks while parts are under way.
#[derive(Debug)]
pub struct UploadWriter {
    orders: mpsc::Sender<Order>,
    /// Why there is nobody any more who takes orders.
    broken: Arc<Mutex<Option<Fault>>>,
    expected: Option<u64>,
    parts: u64,
    filling: BytesMut,
}

/// For the task that uploads.
#[derive(Debug)]
enum Order {
    Part(Bytes),
    /// The last bytes; answered once all parts are in the store.
    Last(Bytes, oneshot::Sender<()>),
}

#[derive(Debug)]
enum End {
    Commit(oneshot::Sender<Result<(), Fault>>),
    Abort(oneshot::Sender<()>),
}

impl ObjectUpload {
    pub(super) fn begin(place: UploadPlace, expected: Option<u64>) -> (Self, UploadWriter) {
        let (orders, taken) = mpsc::channel(1);
        let (end, ends) = oneshot::channel();
        let broken = Arc::new(Mutex::new(None));
        let url = place.url.clone();
        let (runtime, uploads) = (place.stores.runtime().clone(), place.stores.uploads().clone());
        uploads.spawn_on(UploadTask::new(place).run(taken, ends, Arc::clone(&broken)), &runtime);
        let writer = UploadWriter { orders, broken, expected, parts: 0, filling: BytesMut::new() };
        (Self { url, end: Some(end) }, writer)
    }

    /// Gives the object its name, in place of one that has it. The writer must have been ended by [`UploadWriter::finish`].
    ///
    /// # Errors
    /// Why the store has it not.
    pub async fn commit(mut self) -> Result<()> {
        let (reply, done) = oneshot::channel();
        let asked = self.end.take().is_some_and(|end| end.send(End::Commit(reply)).is_ok());
        let done = if asked { done.await.ok() } else { None };
        done.unwrap_or_else(|| Err(Fault::local("not all of it was written"))).map_err(|fault| fault.at(&self.url))
    }

    /// Takes back what was written, and waits until that is done. Dropping the value does the same without waiting.
    pub async fn abort(mut self) {
        let (reply, done) = oneshot::channel();
        if self.end.take().is_some_and(|end| end.send(End::Abort(reply)).is_ok()) {
            // One that has ended has nothing to take back.
            let _ = done.await;
        }
    }
}

impl UploadWriter {
    /// Hands over what is left, and blocks until the store has all of it, under no name yet.
    ///
    /// # Errors
    /// What the store says.
    pub fn finish(&mut self) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        let last = self.filling.split().freeze();
        let sent = self.orders.blocking_send(Order::Last(last, reply)).is_ok();
        if sent && done.blocking_recv().is_ok() { Ok(()) } else { Err(self.fault()) }
    }

    fn fault(&self) -> io::Error {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        broken.unwrap_or_else(|| Fault::local("the upload was given up")).into()
    }
}

impl io::Write for UploadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = part_len(self.expected, self.parts);
        if self.filling.capacity() == 0 {
            self.filling.reserve(len.min(PART));
        }
        let room = len.saturating_sub(self.filling.len());
        let taken = bytes.len().min(room);
        self.filling.extend_from_slice(&bytes[..taken]);
        if self.filling.len() >= len {
            let part = std::mem::take(&mut self.filling).freeze();
            self.parts += 1;
            self.orders.blocking_send(Order::Part(part)).map_err(|_| self.fault())?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of the next part. Some stores want all but the last to be equal: they are if the length is about known.
fn part_len(expected: Option<u64>, parts: u64) -> usize {
    let len = match expected {
        Some(expected) => {
            let len = expected.div_ceil(PARTS_PLANNED).next_multiple_of(1 << 20).max(PART as u64);
            if parts < PARTS_PLANNED { len } else { 8 * len }
        }
        None => (PART as u64) << (parts / 1000).min(9),
    };
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{stores, url};
    use object_store::multipart::MultipartStore;
    use std::io::Write;
    use std::sync::atomic::Ordering;

    async fn write(mut writer: UploadWriter, bytes: &Bytes) -> io::Result<()> {
        let bytes = bytes.clone();
        let written = tokio::task::spawn_blocking(move || {
            bytes.chunks(1 << 20).try_for_each(|piece| writer.write_all(piece)).and_then(|()| writer.finish())
        });
        written.await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_seen_before_the_commit_and_all_of_it_after() {
        let ((stores, _counting), note) = (stores(), url("note"));
        for (key, len) in [("none", 0), ("small", 5), ("a part", PART), ("parts", 3 * PART + 1)] {
            let bytes: Bytes = (0..len).map(|number| (number / 3) as u8).collect::<Vec<_>>().into();
            let (upload, writer) = stores.create(&url(key), &note, Some(len as u64)).unwrap();
            write(writer, &bytes).await.unwrap();
            let error = stores.head(&url(key)).await.unwrap_err();
            assert!(matches!(error, crate::Error::NotFound(_)), "{error}");
            upload.commit().await.unwrap();
            assert_eq!(stores.get(&url(key), u64::MAX).await.unwrap(), bytes);
        }
        let noted = 2 * "0".len();
        assert_eq!(stores.counters().traffic().written, (5 + 4 * PART + 1 + noted) as u64);
        assert!(matches!(stores.head(&note).await, Err(crate::Error::NotFound(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_not_committed_never_was() {
        let ((stores, counting), note) = (stores(), url("note"));
        let bytes = Bytes::from(vec![1; 2 * PART]);
        let (upload, writer) = stores.create(&url("a"), &note, None).unwrap();
        write(writer, &bytes).await.unwrap();
        upload.abort().await;
        let (upload, writer) = stores.create(&url("a"), &note, None).unwrap();
        drop(writer);
        assert!(upload.commit().await.unwrap_err().to_string().contains("not all of it was written"));
        let (upload, writer) = stores.create(&url("a"), &note, None).unwrap();
        drop(upload);
        assert!(write(writer, &bytes).await.unwrap_err().to_string().contains("given up"));
        counting.refusals.store(1, Ordering::Relaxed);
        let (upload, writer) = stores.create(&url("a"), &note, None).unwrap();
        let error = write(writer, &bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "the store cannot be reached: connection closed");
        assert!(upload.commit().await.is_err());
        assert!(stores.head(&url("a")).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_killed_process_has_left_is_taken_back() {
        let ((stores, counting), note) = (stores(), url("note"));
        stores.take_back(&url("a"), &note).await.unwrap();
        let (upload, writer) = stores.create(&url("a"), &note, None).unwrap();
        write(writer, &Bytes::from(vec![1; 2 * PART])).await.unwrap();
        let id = String::from_utf8(stores.get(&note, 99).await.unwrap().to_vec()).unwrap();
        // As if it had been killed: nobody takes it back.
        std::mem::forget(upload);
        stores.take_back(&url("a"), &note).await.unwrap();
        let taken = counting.put_part(&url("a").path().unwrap(), &id, 0, Bytes::from_static(b"x").into()).await;
        assert!(taken.is_err(), "the upload is there still");
        assert!(matches!(stores.head(&note).await, Err(crate::Error::NotFound(_))));
    }

    #[test]
    fn ten_thousand_parts_hold_what_is_expected_and_more() {
        for gib in [0, 1, 100, 5 << 10] {
            let expected = gib << 30;
            let parts: u64 = (0..10_000).map(|part| part_len(Some(expected), part) as u64).sum();
            assert!(parts >= expected + expected / 2, "{gib} GiB");
        }
        assert_eq!(part_len(Some(1 << 30), 0), PART);
        let parts: u64 = (0..10_000).map(|part| part_len(None, part) as u64).sum();
        assert!(parts >= 5 << 40 && part_len(None, 9_999) <= 5 << 30);
    }
}
