//! Some rows of a file, for those who want to know what it would be to score all.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use super::finished::is_finished;
use super::{OpenedInput, of_file};
use crate::Result;
use crate::bulk::texts::{Reading, batches};
use crate::panics::blocking;
use crate::source::Source;
use crate::table::ColumnTexts;

/// Rows of a part that are read past, at most, to come to a place in it.
const REACH: u64 = 100_000;

/// Rows of a file.
pub struct RowSample {
    /// As they were read.
    pub batch: RecordBatch,
    /// Their texts.
    pub texts: Vec<ColumnTexts>,
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

    /// At most `rows` rows from one of `of` places that lie evenly in the file, and none that the next place has.
    ///
    /// # Errors
    /// As for scoring them.
    pub async fn sample(&self, place: usize, of: usize, rows: usize) -> Result<Vec<RowSample>> {
        let source = Arc::clone(&self.source) as Arc<dyn Source>;
        let (from_row, next) = (row_at(&*source, place, of), row_at(&*source, place + 1, of));
        let mut left = usize::try_from(next - from_row).map_or(rows, |all| all.min(rows));
        let reading = Reading { inputs: self.plan.inputs(), truth: None, batch_rows: left.max(1), from_row };
        let plan = self.plan.as_ref().clone().of_inputs();
        let mut batches = Box::pin(batches(source, reading));
        let mut samples = Vec::new();
        while left > 0 {
            let Some(batch) = batches.next().await.transpose()? else { break };
            let batch = batch.0.slice(0, batch.0.num_rows().min(left));
            left -= batch.num_rows();
            let texts = plan.texts(&batch).map_err(|error| of_file(&self.source, error))?;
            samples.push(RowSample { batch, texts });
        }
        Ok(samples)
    }
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
}
