//! CSV and JSON lines.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::{TablePiece, WantedColumns, about};
use crate::bulk::texts::Truths;
use crate::bulk::truth::Truth;
use crate::format::TableFormat;
use crate::source::ahead::Give;
use crate::source::json::KeptKeys;
use crate::source::lines::{Block, LineDecoder, Lines};
use crate::source::sequential::Sequential;
use crate::source::{csv, line_decoder, strings_as_bytes};
use crate::{Error, Result};

/// The longest record, in bytes.
const LONGEST_RECORD: usize = 256 << 20;

/// Records, of which the first have come.
pub struct LineTable {
    pub(super) input: Sequential,
    format: TableFormat,
    decoder: Box<dyn LineDecoder>,
    pub(super) schema: SchemaRef,
    /// What stands before the first record, once it is said what is read.
    pub names: Lines,
    is_ended: bool,
}

impl LineTable {
    pub(super) fn open(input: Sequential, format: TableFormat, named: &[String]) -> Result<Self> {
        let decoder = line_decoder(format, named, LONGEST_RECORD);
        let schema = Arc::new(Schema::empty());
        let mut table = Self { input, format, decoder, schema, names: Lines::default(), is_ended: false };
        while table.decoder.schema().is_none() && !table.is_ended {
            table.more()?;
        }
        table.schema = table.decoder.schema().unwrap_or_else(|| nothing(named));
        Ok(table)
    }

    /// As [`super::InputTable::expect`].
    pub(super) fn expect(&mut self, named: &[&str]) {
        if self.decoder.schema().is_none() {
            let is_new = |name: &&&str| self.schema.field_with_name(name).is_err();
            // Of no type, so that none of them is taken for the texts.
            let new = named.iter().filter(is_new).map(|&name| Arc::new(Field::new(name, DataType::Null, true)));
            let fields = self.schema.fields().iter().cloned().chain(new);
            self.schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        }
    }

    /// Takes in what comes next.
    fn more(&mut self) -> Result<()> {
        let piece = self.input.piece()?;
        self.is_ended = piece.is_empty();
        let taken = if self.is_ended { self.decoder.end() } else { self.decoder.push(&piece) };
        taken.map_err(|error| about(self.input.path(), error))
    }

    pub(super) fn begin(&mut self, wanted: &WantedColumns) -> Result<()> {
        let truth = wanted.truth.as_ref().map(Truth::index).filter(|_| self.format.delimiter().is_some());
        let mut columns = wanted.inputs.clone();
        columns.extend(truth.filter(|truth| !wanted.inputs.contains(truth)));
        let names = self.decoder.begin(&columns, &wanted.taken);
        self.names = names.map_err(|error| about(self.input.path(), error))?;
        Ok(())
    }

    pub(super) fn read(mut self, wanted: &WantedColumns, give: &mut Give<'_, TablePiece>) -> Result<()> {
        let mut rows_before = 0;
        let read = strings_as_bytes(&self.schema, wanted.texts.iter().copied()).project(&wanted.inputs);
        let read = Arc::new(read.map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?);
        loop {
            while let Some(block) = self.decoder.take().map_err(|error| about(self.input.path(), error))? {
                let piece = self.piece(block, wanted, &read);
                let mut piece = piece.map_err(|error| about(self.input.path(), error.after_rows(rows_before)))?;
                rows_before += piece.batch.num_rows();
                while piece.batch.num_rows() > wanted.batch_rows {
                    let (first, rest) = piece.split(wanted.batch_rows);
                    piece = rest;
                    if !give(first) {
                        return Ok(());
                    }
                }
                if !give(piece) {
                    return Ok(());
                }
            }
            if self.is_ended {
                return Ok(());
            }
            self.more()?;
        }
    }

    fn piece(&self, block: Block, wanted: &WantedColumns, read: &SchemaRef) -> Result<TablePiece> {
        let Block { lines, texts } = block;
        // Blank lines, and no record yet that says which columns there are.
        let texts = if texts.num_columns() == 0 { RecordBatch::new_empty(Arc::clone(read)) } else { texts };
        let truths = match &wanted.truth {
            Some(truth) => self.truths(truth, &lines, &texts, wanted)?,
            None => Truths::new(),
        };
        let count = wanted.inputs.len();
        let columns = texts.columns()[..count].to_vec();
        let fields = texts.schema_ref().fields()[..count].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(texts.num_rows()));
        let cells = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        let cells = cells.map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?;
        let batch = if wanted.is_typed && self.format.delimiter().is_some() {
            csv::texts(&cells, Arc::clone(read))?
        } else {
            cells
        };
        let file_bytes = lines.bytes.len() as u64;
        Ok(TablePiece { batch, truths, lines, file_bytes })
    }

    /// The right answers, which are cells or values of any type.
    fn truths(&self, truth: &Truth, lines: &Lines, texts: &RecordBatch, wanted: &WantedColumns) -> Result<Truths> {
        if self.format.delimiter().is_none() {
            let keys = KeptKeys::new(vec![truth.name().to_owned()], &HashSet::new());
            let values = keys.texts(lines, 0, lines.ends.len(), 0)?;
            return values.first().map_or_else(|| Ok(Truths::new()), |values| truth.classes_of_texts(values));
        }
        let place = wanted.inputs.iter().position(|input| *input == truth.index()).unwrap_or(wanted.inputs.len());
        truth.classes_of_texts(texts.column(place))
    }
}

/// The columns of JSON lines without a record: those that are named, or one that would be scored.
fn nothing(named: &[String]) -> SchemaRef {
    let named = if named.is_empty() { vec!["text".to_owned()] } else { named.to_vec() };
    let fields = named.into_iter().map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::super::{InputTable, Share};
    use super::*;
    use crate::store::FileLocation;
    use crate::store::testing::unused;

    fn table(format: TableFormat, content: &[u8]) -> (tempfile::TempDir, InputTable) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        std::fs::write(&path, content).unwrap();
        let named = ["text".to_owned()];
        let stores = unused();
        let table = InputTable::open(&FileLocation::Path(path), &stores, format, &named, Share::WHOLE).unwrap();
        (folder, table)
    }

    async fn pieces(mut table: InputTable, truth: Option<&str>, is_typed: bool) -> Result<Vec<TablePiece>> {
        let classes = ["0".to_owned(), "1".to_owned()];
        let truth = truth.map(|name| Truth::find(table.schema(), name, &classes).unwrap());
        let (inputs, texts) = (vec![0], vec![0]);
        let wanted = WantedColumns { inputs, texts, truth, taken: Vec::new(), batch_rows: 1000, is_typed };
        table.begin(&wanted)?;
        table.read(wanted, 0).try_collect().await
    }

    #[tokio::test]
    async fn blank_lines_are_no_rows_of_the_columns_that_are_named() {
        for content in [&b"\n"[..], b"\xef\xbb\xbf", b" \n\r\n", b""] {
            let (_folder, mut table) = table(TableFormat::JsonLines, content);
            table.expect(&["id", "text"]);
            let names: Vec<_> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!(names, ["text", "id"]);
            let pieces = pieces(table, None, false).await.unwrap();
            assert!(pieces.iter().all(|piece| piece.batch.num_rows() == 0 && piece.batch.num_columns() == 1));
            assert_eq!(pieces.iter().flat_map(|piece| piece.lines.bytes.clone()).collect::<Vec<_>>(), content);
        }
    }

    #[tokio::test]
    async fn cells_that_are_scored_may_be_no_texts() {
        let (_folder, table) = table(TableFormat::Csv, b"text\na\n\xff\n");
        let pieces = pieces(table, None, true).await.unwrap();
        assert_eq!(pieces[0].batch.schema().field(0).data_type(), &DataType::Binary);
    }

    #[tokio::test]
    async fn a_right_answer_that_is_no_text_is_named_by_its_row() {
        let mut content = "{\"text\":\"a\",\"truth\":\"0\"}\n".repeat(20_000);
        content.push_str("{\"text\":\"a\",\"truth\":\"\\ud800\"}\n");
        let (_folder, table) = table(TableFormat::JsonLines, content.as_bytes());
        let error = pieces(table, Some("truth"), false).await.unwrap_err().to_string();
        assert!(error.contains("row 20000 (counted from 0) is not text"), "{error}");
    }

    #[tokio::test]
    async fn what_pieces_are_read_from_adds_up() {
        let content = "text\n".to_owned() + &"some text\n".repeat(50_000);
        let (_folder, table) = table(TableFormat::Csv, content.as_bytes());
        let pieces = pieces(table, None, false).await.unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.file_bytes).sum::<u64>(), content.len() as u64 - 5);
    }
}
