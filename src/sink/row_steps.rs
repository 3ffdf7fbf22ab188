//! Rows of tables that are written whole, in steps that are a matter of the rows alone, however they come: where a page, a row group or
//! a record batch ends depends on what an encoder is given at a time.

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::text_size::row_text;
use crate::source::compact;
use crate::{Error, Result};

/// As many rows as a batch of an ordinary table has.
const STEP_ROWS: usize = 8192;

/// The rows that have come and are no step yet.
#[derive(Debug)]
pub struct RowSteps {
    waiting: Vec<RecordBatch>,
    rows: usize,
    /// How long the rows that wait become as text, at most.
    bytes: u64,
    largest: u64,
}

impl RowSteps {
    /// Steps of rows that become at most so many bytes of text, or of one row.
    pub const fn of_text(largest: u64) -> Self {
        Self { waiting: Vec::new(), rows: 0, bytes: 0, largest }
    }

    /// Takes rows of the same columns, and gives the steps that are full with them. Rows with another dictionary begin another step.
    ///
    /// # Errors
    /// [`Error::Invalid`] for rows that cannot be brought together.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut full = Vec::new();
        if self.waiting.last().is_some_and(|last| !have_same_dictionaries(last, batch)) {
            full.extend(self.rest()?);
        }
        let mut from = 0;
        for row in 0..batch.num_rows() {
            let bytes = row_text(batch, row);
            if self.rows > 0 && (self.rows == STEP_ROWS || self.bytes.saturating_add(bytes) > self.largest) {
                self.hold(batch, from, row);
                from = row;
                full.extend(self.rest()?);
            }
            self.rows += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.hold(batch, from, batch.num_rows());
        Ok(full)
    }

    fn hold(&mut self, batch: &RecordBatch, from: usize, to: usize) {
        if to > from {
            self.waiting.push(batch.slice(from, to - from));
        }
    }

    /// What is no full step, if anything is.
    ///
    /// # Errors
    /// As [`RowSteps::add`].
    pub fn rest(&mut self) -> Result<Option<RecordBatch>> {
        let waiting = std::mem::take(&mut self.waiting);
        (self.rows, self.bytes) = (0, 0);
        let joined = joined(&waiting).map_err(|cause| Error::Invalid(format!("rows do not fit together: {cause}")));
        joined.map(|rows| rows.filter(|rows| rows.num_rows() > 0))
    }
}

/// All of them in one, which holds nothing of what they were cut from.
fn joined(batches: &[RecordBatch]) -> Result<Option<RecordBatch>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(None) };
    // A single batch would be taken as it is, with the bits behind its end.
    let none = first.slice(0, 0);
    let rows = concat_batches(first.schema_ref(), batches.iter().chain([&none]))?;
    compact(&rows).map(Some)
}

/// Whether all dictionaries of one are those of the other, too: into which others would become depends on how the rows were cut.
fn have_same_dictionaries(one: &RecordBatch, other: &RecordBatch) -> bool {
    one.columns().iter().zip(other.columns()).all(|(one, other)| {
        let is_plain = !one.data_type().is_nested() && !matches!(one.data_type(), DataType::Dictionary(..));
        is_plain || are_same(&one.to_data(), &other.to_data())
    })
}

fn are_same(one: &ArrayData, other: &ArrayData) -> bool {
    let mut children = one.child_data().iter().zip(other.child_data());
    match one.data_type() {
        DataType::Dictionary(..) => children.all(|(one, other)| one.ptr_eq(other)),
        _ => children.all(|(one, other)| are_same(one, other)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;
    use crate::sink::batches::{ArrowEncoder, BatchEncoder};

    fn text(row: usize) -> Option<String> {
        (!row.is_multiple_of(5)).then(|| "x".repeat(row % 97))
    }

    fn rows(values: &ArrayRef, len: usize) -> RecordBatch {
        let keys: Int32Array = (0..len).map(|row| Some((row % 2) as i32)).collect();
        let columns: [(&str, ArrayRef); 4] = [
            ("text", Arc::new((0..len).map(text).collect::<StringArray>())),
            ("view", Arc::new((0..len).map(text).collect::<StringViewArray>())),
            ("flag", Arc::new((0..len).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
            ("kind", Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(values)))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    /// The stream that becomes of the rows, cut so, and how many rows each step has.
    fn written(batch: &RecordBatch, cut: usize, largest: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut steps, mut encoder) =
            (RowSteps::of_text(largest), Box::new(ArrowEncoder::new(&batch.schema()).unwrap()));
        let mut full = Vec::new();
        for from in (0..batch.num_rows()).step_by(cut) {
            full.extend(steps.add(&batch.slice(from, cut.min(batch.num_rows() - from))).unwrap());
        }
        full.extend(steps.rest().unwrap());
        let sizes = full.iter().map(RecordBatch::num_rows).collect();
        let mut buffers: Vec<_> = full.iter().flat_map(|step| encoder.encode(step).unwrap()).collect();
        buffers.extend(encoder.finish().unwrap());
        (buffers.iter().flat_map(|buffer| buffer.to_vec()).collect(), sizes)
    }

    #[test]
    fn however_rows_come_the_same_is_written() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = rows(&values, 20_000);
        let (expected, sizes) = written(&batch, 20_000, u64::MAX);
        assert_eq!(sizes, [STEP_ROWS, STEP_ROWS, 20_000 - 2 * STEP_ROWS]);
        for cut in [1000, 333, 8192, 8193] {
            assert!(written(&batch, cut, u64::MAX).0 == expected, "{cut}");
        }
        let (expected, sizes) = written(&batch, 20_000, 100_000);
        assert!(sizes.len() > 50);
        assert!(written(&batch, 77, 100_000).0 == expected);
    }

    #[test]
    fn another_dictionary_begins_another_step() {
        let values = || Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef;
        let (one, other) = (rows(&values(), 10), rows(&values(), 20));
        let mut steps = RowSteps::of_text(u64::MAX);
        assert!(steps.add(&one).unwrap().is_empty() && steps.add(&one).unwrap().is_empty());
        assert_eq!(steps.add(&other).unwrap()[0].num_rows(), 20);
        assert_eq!(steps.rest().unwrap().unwrap(), other);
        assert!(steps.rest().unwrap().is_none());
    }
}
