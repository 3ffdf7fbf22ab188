//! Some rows of a file, for those who want to know what it would be to score all.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use super::of_file;
use super::opened::{Begun, OpenedInput};
use crate::bulk::table::{InputTable, part_of};
use crate::bulk::texts::{Reading, batches};
use crate::classifier::Scores;
use crate::source::Source;
use crate::source::parquet::ParquetFile;
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
    /// How many bytes of the file they are of, where nobody knows how many rows it has.
    pub file_bytes: u64,
    /// The first of them.
    row: usize,
}

/// Some rows of one file.
pub struct FileSample {
    /// The rows, as they came.
    pub parts: Vec<RowSample>,
    plan: Arc<ScorePlan>,
    path: PathBuf,
}

/// How much is taken from one place, at most.
#[derive(Debug, Clone, Copy)]
pub struct SampleBound {
    /// Rows.
    pub rows: usize,
    /// Bytes of their texts, but for the last.
    pub bytes: usize,
}

impl RowSample {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        bytes(&self.texts)
    }
}

impl FileSample {
    /// Fails as the file would with these scores of these rows.
    ///
    /// # Errors
    /// [`Error::File`] that names the first row that cannot be scored, where that ends the file.
    pub fn check(&self, part: &RowSample, scores: &[Scores]) -> Result<()> {
        let columns = self.plan.columns(&part.texts, scores, part.batch.num_rows());
        columns.map(drop).map_err(|error| of_file(&self.path, error.after_rows(part.row)))
    }
}

impl OpenedInput {
    /// Some rows from each of so many places that lie evenly in the file, none twice; of a file that is read from front to back as
    /// many from its beginning. Of the `left` bytes that all samples may have their texts are taken.
    ///
    /// # Errors
    /// As for scoring them.
    pub async fn sample(self, places: usize, bound: SampleBound, left: &mut usize) -> Result<FileSample> {
        let (plan, path) = (Arc::clone(&self.plan), self.table.path().to_owned());
        let parts = match &self.table {
            InputTable::Parquet(file) => {
                let mut parts = Vec::new();
                for place in 0..places {
                    let bound = SampleBound { bytes: bound.bytes.min(*left), ..bound };
                    let more = self.place(file, place, places, bound).await?;
                    *left = left.saturating_sub(more.iter().map(RowSample::bytes).sum());
                    parts.extend(more);
                }
                parts
            }
            InputTable::Lines(_) | InputTable::Arrow(_) | InputTable::Merged(_) => {
                let bytes = (bound.bytes * places).min(*left);
                let parts = self.first(SampleBound { rows: bound.rows * places, bytes }).await?;
                *left = left.saturating_sub(parts.iter().map(RowSample::bytes).sum());
                parts
            }
        };
        Ok(FileSample { parts, plan, path })
    }

    async fn place(
        &self,
        file: &Arc<ParquetFile>,
        place: usize,
        of: usize,
        bound: SampleBound,
    ) -> Result<Vec<RowSample>> {
        let source = Arc::clone(file) as Arc<dyn Source>;
        let (from_row, next) = (row_at(&*source, place, of), row_at(&*source, place + 1, of));
        let rows = usize::try_from(next - from_row).map_or(bound.rows, |all| all.min(bound.rows));
        let mut taken = Taken::new(SampleBound { rows, ..bound }, usize::try_from(from_row).unwrap_or(usize::MAX));
        let reading = Reading { inputs: self.plan.inputs(), truth: None, batch_rows: rows.max(1), from_row };
        let plan = self.plan.as_ref().clone().of_inputs();
        let mut batches = Box::pin(batches(source, reading));
        while taken.wants_more() {
            let Some((batch, _)) = batches.next().await.transpose()? else { break };
            taken.take(&plan, &batch, |_| 0).map_err(|error| of_file(file.path(), error))?;
        }
        Ok(taken.parts)
    }

    async fn first(self, bound: SampleBound) -> Result<Vec<RowSample>> {
        let Begun { reader, mut pieces, input, .. } = self.begin(0)?;
        let mut taken = Taken::new(bound, 0);
        while taken.wants_more() {
            let Some(piece) = pieces.next().await.transpose()? else { break };
            let file_bytes = |rows| match piece.lines.ends.get(rows - 1) {
                Some(end) => *end as u64,
                None => part_of(piece.file_bytes, rows, piece.batch.num_rows()),
            };
            taken.take(&reader, &piece.batch, file_bytes).map_err(|error| of_file(&input, error))?;
        }
        Ok(taken.parts)
    }
}

/// What is taken of one place.
struct Taken {
    parts: Vec<RowSample>,
    /// What may still be taken.
    left: SampleBound,
    /// The next row.
    row: usize,
}

impl Taken {
    const fn new(left: SampleBound, row: usize) -> Self {
        Self { parts: Vec::new(), left, row }
    }

    const fn wants_more(&self) -> bool {
        self.left.rows > 0 && self.left.bytes > 0
    }

    /// Takes the first rows, of which `file_bytes` says how many bytes of the file so many are.
    fn take(&mut self, plan: &ScorePlan, batch: &RecordBatch, file_bytes: impl FnOnce(usize) -> u64) -> Result<()> {
        let batch = batch.slice(0, batch.num_rows().min(self.left.rows));
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut part =
            beginning(plan, &batch, self.left.bytes, self.row).map_err(|error| error.after_rows(self.row))?;
        let rows = part.batch.num_rows();
        part.file_bytes = file_bytes(rows);
        self.left.bytes = self.left.bytes.saturating_sub(part.bytes());
        // What is cut off was too long.
        self.left.rows = if rows < batch.num_rows() { 0 } else { self.left.rows - rows };
        self.row += rows;
        self.parts.push(part);
        Ok(())
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
        return Ok(RowSample { batch, texts, file_bytes: 0, row });
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
