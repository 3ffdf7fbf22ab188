//! Rows in steps of one size, however they come.
//!
//! Where a page ends depends on how many rows the writer of pages is given at a time: only in equal steps does the same table
//! give the same bytes, whatever the batches that its rows came in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::error::ArrowError;

/// As many rows as a batch of an ordinary table has.
pub const STEP_ROWS: usize = 8192;

/// The rows of a row group that have come and are not written yet: fewer than a step of them.
#[derive(Debug, Default)]
pub struct Steps {
    waiting: Vec<Vec<ArrayRef>>,
    rows: usize,
}

impl Steps {
    /// How many more rows make a step.
    pub const fn room(&self) -> usize {
        STEP_ROWS - self.rows
    }

    /// Adds rows, at most as many as there is room for; gives the step back once it is full.
    pub fn add(&mut self, columns: Vec<ArrayRef>) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        self.rows += columns.first().map_or(0, Array::len);
        self.waiting.push(columns);
        if self.rows < STEP_ROWS { Ok(None) } else { self.rest() }
    }

    /// What is waiting, if anything is.
    pub fn rest(&mut self) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        let waiting = std::mem::take(&mut self.waiting);
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(None);
        }
        if let [only] = waiting.as_slice() {
            return Ok(Some(only.clone()));
        }
        let width = waiting.first().map_or(0, Vec::len);
        let column = |index: usize| {
            let pieces: Vec<&dyn Array> = waiting.iter().map(|columns| Arc::as_ref(&columns[index])).collect();
            concat(&pieces)
        };
        (0..width).map(column).collect::<Result<_, _>>().map(Some)
    }
}
