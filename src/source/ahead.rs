//! Batches decoded on a thread of their own, a few ahead of whoever takes them.

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Error, Result};

/// Decoded batches that may wait to be taken.
const BATCHES_AHEAD: usize = 2;

/// Takes a batch on its way to the stream; false once nobody reads any more.
pub type Give<'a, T = RecordBatch> = dyn FnMut(T) -> bool + 'a;

/// What `decode` gives, in its order, then its error if it has one.
pub fn decoded_ahead<T: Send + 'static>(
    decode: impl FnOnce(&mut Give<'_, T>) -> Result<()> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let decoder = spawn_blocking(move || decode(&mut |batch| sender.blocking_send(batch).is_ok()));
    unfold(Some((receiver, decoder)), next).boxed()
}

type Decoding<T> = (mpsc::Receiver<T>, JoinHandle<Result<()>>);

async fn next<T>(state: Option<Decoding<T>>) -> Option<(Result<T>, Option<Decoding<T>>)> {
    let (mut receiver, decoder) = state?;
    if let Some(batch) = receiver.recv().await {
        return Some((Ok(batch), Some((receiver, decoder))));
    }
    // Only a decoder that says so is at the end: one that died must not look like a short table.
    let ended = decoder.await.unwrap_or_else(|died| Err(Error::Failed(format!("decoding broke off: {died}"))));
    ended.err().map(|error| (Err(error), None))
}
