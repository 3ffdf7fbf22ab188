//! The text columns of a table as a stream, and the right answers beside them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::ready;
use futures::{Stream, StreamExt};

use super::truth::Truth;
use crate::source::Source;
use crate::{Error, Result};

/// The right class of each row of a batch, where it is known; empty without a truth column.
pub type Truths = Vec<Option<usize>>;

/// What is read of a table.
pub struct Reading {
    /// The columns that are scored.
    pub inputs: Vec<usize>,
    /// The column with the right answers.
    pub truth: Option<Truth>,
    /// Rows at a time, at most.
    pub batch_rows: usize,
    /// Rows before the first that is read.
    pub from_row: u64,
}

/// The rows of `source`, as `reading` says.
pub fn batches(
    source: Arc<dyn Source>,
    reading: Reading,
) -> impl Stream<Item = Result<(RecordBatch, Truths)>> + Send + 'static {
    let Reading { inputs, truth, batch_rows, from_row } = reading;
    let mut columns: Vec<_> = truth.iter().map(Truth::index).chain(inputs.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    let (first, skipped) = part_of(source.as_ref(), from_row);
    let batches = Arc::clone(&source).read(first..source.parts().len(), &columns, batch_rows);
    let place = move |wanted| columns.partition_point(|other| *other < wanted);
    let inputs: Vec<_> = inputs.into_iter().map(&place).collect();
    skip_rows(batches, skipped).map(move |batch| {
        let batch = batch?;
        let truths = match &truth {
            Some(truth) => truth.classes(batch.column(place(truth.index()))),
            None => Ok(Truths::new()),
        };
        let truths = truths.map_err(|error| Error::file(source.path(), error))?;
        let batch = batch.project(&inputs).map_err(|cause| Error::Failed(format!("cannot take columns: {cause}")))?;
        Ok((batch, truths))
    })
}

/// The part that a row lies in, and how many rows of it stand before.
fn part_of(source: &dyn Source, row: u64) -> (usize, u64) {
    let mut before = row;
    for (number, part) in source.parts().iter().enumerate() {
        if before < part.rows {
            return (number, before);
        }
        before -= part.rows;
    }
    (source.parts().len(), 0)
}

fn skip_rows(
    batches: impl Stream<Item = Result<RecordBatch>> + Send,
    mut rows: u64,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    batches.filter_map(move |batch| {
        let left = batch.map(|batch| {
            let skipped = usize::try_from(rows).unwrap_or(usize::MAX).min(batch.num_rows());
            rows -= skipped as u64;
            batch.slice(skipped, batch.num_rows() - skipped)
        });
        ready(Some(left).filter(|left| left.as_ref().map_or(true, |batch| batch.num_rows() > 0)))
    })
}
