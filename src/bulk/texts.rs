//! The text columns of a table as a stream, and the right answers beside them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};

use super::truth::Truth;
use crate::source::Source;
use crate::{Error, Result};

/// The right class of each row of a batch, where it is known; empty without a truth column.
pub type Truths = Vec<Option<usize>>;

/// The columns `inputs` of `source`, at most `batch_rows` at a time.
pub fn batches(
    source: Arc<dyn Source>,
    inputs: Vec<usize>,
    truth: Option<Truth>,
    batch_rows: usize,
) -> impl Stream<Item = Result<(RecordBatch, Truths)>> + Send + 'static {
    let mut columns: Vec<_> = truth.iter().map(Truth::index).chain(inputs.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    let batches = Arc::clone(&source).read(0..source.parts().len(), &columns, batch_rows);
    let place = move |wanted| columns.partition_point(|other| *other < wanted);
    let inputs: Vec<_> = inputs.into_iter().map(&place).collect();
    batches.map(move |batch| {
        let batch = batch?;
        let truths = match &truth {
            Some(truth) => truth.classes(batch.column(place(truth.index()))),
            None => Ok(Truths::new()),
        };
        let truths = truths.map_err(|error| within(source.as_ref(), error))?;
        let batch = batch.project(&inputs).map_err(|cause| Error::Failed(format!("cannot take columns: {cause}")))?;
        Ok((batch, truths))
    })
}

/// The error, with the file that it is about.
pub fn within(source: &dyn Source, error: Error) -> Error {
    match error {
        Error::Invalid(what) => Error::Invalid(format!("{}: {what}", source.path().display())),
        other => other,
    }
}
