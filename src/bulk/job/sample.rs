//! Some rows of a file, for those who want to know what it would be to score all.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use super::finished::is_finished;
use super::{OpenedInput, of_file};
use crate::bulk::texts::{Reading, batches};
use crate::classifier::Scores;
use crate::panics::blocking;
use crate::source::Source;
use crate::table::{ColumnTexts, ScorePlan};
use crate::{Error, Result};

/// Rows of a part that are read past, at most, to come to a place in it.
const REACH: u64 = 100_000;

/// Rows of a file.
pub struct RowSample {
    /// How many there are: a batch without columns.
    pub batch: RecordBatch,
    /// Their texts, and no others.
    pub texts: Vec<ColumnTexts>,
    /// The first of them.
    row: usize,
}

impl RowSample {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        bytes(&self.texts)
    }
}

impl OpenedInput {
    /// Whether the same job has scored it, and its output is there.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when what is to be known of it cannot be said.
    pub async fn is_finished(&self, output: &Path) -> Result<bool> {
        let (output, marks) = (output.to_owned(), self.identity.marks()?);
        blocking(move || Ok(is_finished(&output, &marks))).await
    }

    /// Some rows from one of `of` places that lie evenly in the file, and none that the next place has: at most so many, whose texts
    /// have at most so many bytes, but for the first.
    ///
    /// # Errors
    /// As for scoring them.
    pub async fn sample(&self, place: usize, of: usize, (rows, most): (usize, usize)) -> Result<Vec<RowSample>> {
        let source = Arc::clone(&self.source) as Arc<dyn Source>;
        let (from_row, next) = (row_at(&*source, place, of), row_at(&*source, place + 1, of));
        let mut row = usize::try_from(from_row).unwrap_or(usize::MAX);
        let (mut left, mut bytes) = (usize::try_from(next - from_row).map_or(rows, |all| all.min(rows)), most);
        let reading = Reading { inputs: self.plan.inputs(), truth: None, batch_rows: left.max(1), from_row };
        let plan = self.plan.as_ref().clone().of_inputs();
        let mut batches = Box::pin(batches(source, reading));
        let mut samples = Vec::new();
        while left > 0 && bytes > 0 {
            let Some((batch, _)) = batches.next().await.transpose()? else { break };
            let batch = batch.slice(0, batch.num_rows().min(left));
            let sample = beginning(&plan, &batch, bytes, row);
            let sample = sample.map_err(|error| of_file(&self.source, error.after_rows(row)))?;
            let rows = sample.batch.num_rows();
            bytes = bytes.saturating_sub(sample.bytes());
            samples.push(sample);
            if rows < batch.num_rows() {
                break;
            }
            (row, left) = (row + rows, left - rows);
        }
        Ok(samples)
    }

    /// Fails as the file would with these scores of its rows.
    ///
    /// # Errors
    /// [`crate::Error::File`] that names the first row that cannot be scored, where that ends the file.
    pub fn check(&self, sample: &RowSample, scores: &[Scores]) -> Result<()> {
        let columns = self.plan.columns(&sample.texts, scores, sample.batch.num_rows());
        columns.map(drop).map_err(|error| of_file(&self.source, error.after_rows(sample.row)))
    }
}

/// The first rows of a batch: as many as have texts of `most` bytes or fewer, but one at least.
fn beginning(plan: &ScorePlan, batch: &RecordBatch, most: usize, row: usize) -> Result<RowSample> {
    let mut rows = batch.num_rows();
    loop {
        let batch = batch.slice(0, rows);
        let mut texts = plan.texts(&batch)?;
        if rows > 1 && bytes(&texts) > most {
            rows /= 2;
            continue;
        }
        // What is read beside them is not to be held.
        for texts in &mut texts {
            texts.values = texts.values.gc();
        }
        let batch = batch.project(&[]).map_err(|cause| Error::Failed(format!("cannot take columns: {cause}")))?;
        return Ok(RowSample { batch, texts, row });
    }
}

fn bytes(texts: &[ColumnTexts]) -> usize {
    texts.iter().flat_map(|texts| texts.values.iter().flatten()).map(str::len).sum()
}

/// The row at a place: the parts are as long as one another here, since that is how they are jumped to.
fn row_at(source: &dyn Source, place: usize, of: usize) -> u64 {
    let parts = source.parts();
    let (part, more) = (place * parts.len() / of, place * parts.len() % of);
    let before: u64 = parts[..part].iter().map(|part| part.rows).sum();
    // What is past the last place is the end.
    let within = parts.get(part).map_or(0, |part| part.rows).min(REACH);
    before + within * more as u64 / of as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parquet::ParquetFile;
    use crate::source::parquet::testing::{rows, write};
    use crate::table::ScoreOptions;
    use arrow::array::{Array, ArrayRef, StringArray};
    use parquet::file::properties::WriterProperties;

    #[test]
    fn places_lie_in_all_parts_or_evenly_in_few() {
        let folder = tempfile::tempdir().unwrap();
        let places = |groups: &[usize], of: usize| {
            let path = folder.path().join("in.parquet");
            write(&path, &rows(groups.iter().sum()), groups, WriterProperties::builder().build());
            let source = ParquetFile::open(&path).unwrap();
            (0..=of).map(|place| row_at(&source, place, of)).collect::<Vec<_>>()
        };
        assert_eq!(places(&[40], 4), [0, 10, 20, 30, 40]);
        assert_eq!(places(&[10, 10, 10, 10], 2), [0, 20, 40]);
        assert_eq!(places(&[4, 100], 4), [0, 2, 4, 54, 104]);
        assert_eq!(places(&[1], 3), [0, 0, 0, 1]);
    }

    #[test]
    fn long_texts_make_a_sample_short() {
        let texts: StringArray = (0..8).map(|_| Some("a".repeat(100))).collect();
        let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
        let plan = ScorePlan::new(&batch.schema(), &ScoreOptions::default(), &["a".to_owned()]).unwrap();
        for (most, rows) in [(1000, 8), (799, 4), (300, 2), (1, 1)] {
            let sample = beginning(&plan, &batch.slice(0, 8), most, 5).unwrap();
            assert_eq!(
                (sample.batch.num_rows(), sample.bytes(), sample.texts[0].values.len()),
                (rows, rows * 100, rows)
            );
            let held = sample.texts[0].values.get_buffer_memory_size();
            assert!(held < 200 + rows * 116, "{held} bytes for {rows} rows");
        }
    }
}
