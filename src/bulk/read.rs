//! The text column of a file as a stream, decoded on a thread of its own a few batches ahead.

use super::source::Source;
use super::truth::Truth;
use crate::{Error, Result};
use arrow::array::ArrayRef;
use futures::Stream;
use futures::stream::unfold;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Decoded batches that may wait for the engine.
const BATCHES_AHEAD: usize = 2;

/// The right class of each row of a batch, where it is known; empty without a truth column.
pub(super) type Truths = Vec<Option<usize>>;

type Batch = (ArrayRef, Truths);

/// The texts of `source`, column number `text`, at most `batch_rows` at a time.
pub(super) fn texts(
    source: Arc<Source>,
    text: usize,
    truth: Option<Truth>,
    batch_rows: usize,
) -> impl Stream<Item = Result<Batch>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let path = source.path().to_owned();
    let decoder = spawn_blocking(move || decode(&source, text, truth.as_ref(), batch_rows, &sender));
    unfold(Some((receiver, decoder)), move |state| {
        let path = path.clone();
        async move {
            let (mut receiver, decoder): (mpsc::Receiver<Batch>, JoinHandle<Result<()>>) = state?;
            if let Some(batch) = receiver.recv().await {
                return Some((Ok(batch), Some((receiver, decoder))));
            }
            // Only a decoder that says so is at the end: one that died must not look like a short file.
            let ended = decoder.await.unwrap_or_else(|died| Err(damaged(&path, &died)));
            ended.err().map(|error| (Err(error), None))
        }
    })
}

fn decode(
    source: &Source,
    text: usize,
    truth: Option<&Truth>,
    batch_rows: usize,
    sender: &mpsc::Sender<Batch>,
) -> Result<()> {
    let mut columns: Vec<_> = truth.map(Truth::index).into_iter().chain([text]).collect();
    columns.sort_unstable();
    columns.dedup();
    let place = |column| columns.partition_point(|other| *other < column);
    let batches = source.batches(&columns, source.batch_rows(text, batch_rows))?;
    let mut rows = 0;
    for batch in batches {
        let batch = batch.map_err(|cause| source.error(cause))?;
        rows += batch.num_rows() as u64;
        let truths = truth.map(|truth| truth.classes(batch.column(place(truth.index()))));
        let truths = truths.transpose().map_err(|error| within(source, error))?.unwrap_or_default();
        let texts = Arc::clone(batch.column(place(text)));
        if sender.blocking_send((texts, truths)).is_err() {
            // Nobody reads any more: the run failed elsewhere, or was given up.
            return Ok(());
        }
    }
    let expected = source.rows();
    if rows != expected {
        return Err(source.error(format!("damaged: {rows} texts in row groups of {expected} rows")));
    }
    Ok(())
}

/// The error, with the file that it is about.
pub(super) fn within(source: &Source, error: Error) -> Error {
    match error {
        Error::Invalid(what) => Error::Invalid(format!("{}: {what}", source.path().display())),
        other => other,
    }
}

/// The Parquet reader panics at some damaged files.
pub(super) fn damaged(path: &Path, died: &JoinError) -> Error {
    Error::file(path, format!("damaged, or met a bug of textflight: {died}"))
}
