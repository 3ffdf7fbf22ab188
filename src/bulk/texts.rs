//! The text column of a table as a stream, and the right answers beside it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use futures::{Stream, StreamExt};

use super::truth::Truth;
use crate::source::Source;
use crate::{Error, Result};

/// The right class of each row of a batch, where it is known; empty without a truth column.
pub type Truths = Vec<Option<usize>>;

/// The texts of `source`, column number `text`, at most `batch_rows` at a time.
pub fn texts(
    source: Arc<dyn Source>,
    text: usize,
    truth: Option<Truth>,
    batch_rows: usize,
) -> impl Stream<Item = Result<(ArrayRef, Truths)>> + Send + 'static {
    let mut columns: Vec<_> = truth.iter().map(Truth::index).chain([text]).collect();
    columns.sort_unstable();
    columns.dedup();
    let batches = Arc::clone(&source).read(0..source.parts().len(), &columns, batch_rows);
    batches.map(move |batch| {
        let column = |wanted| columns.partition_point(|other| *other < wanted);
        let truths = |batch: &RecordBatch| match &truth {
            Some(truth) => truth.classes(batch.column(column(truth.index()))),
            None => Ok(Truths::new()),
        };
        let batch = batch?;
        let truths = truths(&batch).map_err(|error| within(source.as_ref(), error))?;
        Ok((Arc::clone(batch.column(column(text))), truths))
    })
}

/// The error, with the file that it is about.
pub fn within(source: &dyn Source, error: Error) -> Error {
    match error {
        Error::Invalid(what) => Error::Invalid(format!("{}: {what}", source.path().display())),
        other => other,
    }
}
