//! CSV and JSON lines.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Piece, Wanted, about};
use crate::bulk::texts::Truths;
use crate::bulk::truth::Truth;
use crate::format::TableFormat;
use crate::source::ahead::Give;
use crate::source::json::KeptKeys;
use crate::source::lines::{Block, LineDecoder, Lines};
use crate::source::sequential::Sequential;
use crate::source::{csv, line_decoder};
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

    /// Takes in what comes next.
    fn more(&mut self) -> Result<()> {
        let piece = self.input.piece()?;
        self.is_ended = piece.is_empty();
        let taken = if self.is_ended { self.decoder.end() } else { self.decoder.push(&piece) };
        taken.map_err(|error| about(self.input.path(), error))
    }

    pub(super) fn begin(&mut self, wanted: &Wanted) -> Result<()> {
        let truth = wanted.truth.as_ref().map(Truth::index).filter(|_| self.format.delimiter().is_some());
        let mut columns = wanted.inputs.clone();
        columns.extend(truth.filter(|truth| !wanted.inputs.contains(truth)));
        let names = self.decoder.begin(&columns, &wanted.taken);
        self.names = names.map_err(|error| about(self.input.path(), error))?;
        Ok(())
    }

    pub(super) fn read(mut self, wanted: &Wanted, give: &mut Give<'_, Piece>) -> Result<()> {
        let mut rows_before = 0;
        let read = self.schema.project(&wanted.inputs);
        let read = Arc::new(read.map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?);
        loop {
            while let Some(block) = self.decoder.take().map_err(|error| about(self.input.path(), error))? {
                let piece = self.piece(block, wanted, &read, rows_before);
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

    fn piece(&self, block: Block, wanted: &Wanted, read: &SchemaRef, rows_before: usize) -> Result<Piece> {
        let Block { lines, texts } = block;
        let truths = match &wanted.truth {
            Some(truth) => self.truths(truth, &lines, &texts, wanted, rows_before)?,
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
        Ok(Piece { batch, truths, lines })
    }

    /// The right answers, which are cells or values of any type.
    fn truths(
        &self,
        truth: &Truth,
        lines: &Lines,
        texts: &RecordBatch,
        wanted: &Wanted,
        rows_before: usize,
    ) -> Result<Truths> {
        if self.format.delimiter().is_none() {
            let keys = KeptKeys::new(vec![truth.name().to_owned()], &HashSet::new());
            let values = keys.texts(lines, 0, lines.ends.len(), rows_before)?;
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
