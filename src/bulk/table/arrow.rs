//! Arrow IPC.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use tracing::warn;

use super::{LARGEST_PIECE, TablePiece, WantedColumns, about, part_of};
use crate::source::ahead::Give;
use crate::source::ipc::ArrowReader;
use crate::source::lines::Lines;
use crate::source::sequential::Sequential;
use crate::source::{RangedFile, slices};
use crate::{Error, Result};

/// Messages, of which the first has come.
pub struct ArrowTable {
    pub(super) path: PathBuf,
    pub(super) file: Option<RangedFile>,
    pub(super) reader: ArrowReader<Sequential>,
    pub(super) schema: SchemaRef,
}

impl ArrowTable {
    pub(super) fn read(mut self, wanted: &WantedColumns, give: &mut Give<'_, TablePiece>) -> Result<()> {
        while let Some(batch) = self.reader.next_batch().map_err(|error| about(&self.path, error))? {
            let (rows, file_bytes, mut first) = (batch.num_rows(), self.reader.message_bytes(), 0);
            for from in (0..rows).step_by(wanted.batch_rows.max(1)) {
                let part = batch.slice(from, wanted.batch_rows.min(rows - from));
                for part in slices(&part, LARGEST_PIECE) {
                    let [before, behind] = [first, first + part.num_rows()].map(|row| part_of(file_bytes, row, rows));
                    first += part.num_rows();
                    let truths = wanted.truth.as_ref().map(|truth| truth.classes(part.column(truth.index())));
                    let truths = truths.transpose().map_err(|error| about(&self.path, error))?.unwrap_or_default();
                    let batch = part.project(&wanted.inputs);
                    let batch = batch.map_err(|cause| Error::Failed(format!("cannot take columns: {cause}")))?;
                    if !give(TablePiece { batch, truths, lines: Lines::default(), file_bytes: behind - before }) {
                        return Ok(());
                    }
                }
            }
        }
        if self.reader.is_unmarked() {
            let path = self.path.display();
            warn!(
                "{path}: the Arrow stream ends without the mark of its end: if whoever wrote it broke off, rows are missing"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::ipc::writer::StreamWriter;
    use futures::TryStreamExt;

    use super::super::{InputTable, Share};
    use super::*;
    use crate::format::TableFormat;
    use crate::store::FileLocation;
    use crate::store::testing::unused;

    /// All columns of a message lie in one buffer: each piece is its own part of it, and no more.
    #[tokio::test]
    async fn pieces_of_a_message_add_up_to_it() {
        let rows = 10_000;
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("text {row}"))));
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("text", texts), ("id", ids)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrows");
        let mut writer = StreamWriter::try_new(fs::File::create(&path).unwrap(), &batch.schema()).unwrap();
        (0..2).for_each(|_| writer.write(&batch).unwrap());
        writer.finish().unwrap();
        let len = fs::metadata(&path).unwrap().len();
        let (place, stores) = (FileLocation::Path(path), unused());
        let mut table = InputTable::open(&place, &stores, TableFormat::ArrowStream, &[], Share::WHOLE).unwrap();
        let (inputs, texts, taken) = (vec![0], vec![0], Vec::new());
        let wanted = WantedColumns { inputs, texts, truth: None, taken, batch_rows: 512, is_typed: false };
        table.begin(&wanted).unwrap();
        let pieces: Vec<_> = table.read(wanted, 0).try_collect().await.unwrap();
        assert_eq!(pieces.len(), 40);
        let read: u64 = pieces.iter().map(|piece| piece.file_bytes).sum();
        assert!(read <= len && read > len - 1000, "{read} of {len}");
        let held: usize = pieces.iter().map(TablePiece::bytes).sum();
        assert!((held as u64) < len, "{held} of {len}");
        let (first, all) = (pieces.into_iter().next().unwrap(), read / 40);
        let (first, rest) = first.split(128);
        assert!((all / 4..all / 3).contains(&first.file_bytes) && rest.file_bytes > 2 * first.file_bytes);
    }
}
