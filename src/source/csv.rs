//! CSV as RFC 4180 has it, with a line of names: cells may be quoted, and lines end with LF, CRLF or CR. An empty cell is null, a
//! quoted empty one is a text without letters. Blank lines are no records.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::lines::{Block, LineDecoder, Lines, MARK, MOST_COLUMNS, Pending};
use crate::{Error, Result};

/// How much of a cell is decoded at once, in bytes.
const CELL_BYTES: usize = 4096;

/// Reads CSV.
pub struct CsvDecoder {
    reader: Reader,
    pending: Pending,
    /// Whether the first bytes were looked at.
    has_begun: bool,
    is_ended: bool,
    /// Where the current cell begins.
    start: usize,
    /// Where the current record does.
    record: usize,
    /// Cells of the current record that are read.
    cells: usize,
    /// The current cell, decoded, if anybody asks.
    cell: Vec<u8>,
    scratch: Box<[u8; CELL_BYTES]>,
    /// Of the names, until all are there.
    fields: Vec<Field>,
    schema: Option<SchemaRef>,
    /// Which columns have texts, once that was said.
    texts: Option<Vec<Texts>>,
    /// Which of them a cell belongs to, by its column.
    places: Vec<Option<usize>>,
    /// Ends of lines that the reader was not shown.
    unseen_lines: u64,
}

/// A column of texts. That a text is none is for whoever reads it: a row may go without.
struct Texts {
    column: usize,
    values: BinaryViewBuilder,
    /// The current record's.
    current: Option<Vec<u8>>,
}

impl CsvDecoder {
    /// Reads cells that stand between such bytes.
    pub fn new(delimiter: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            pending: Pending::new(),
            has_begun: false,
            is_ended: false,
            start: 0,
            record: 0,
            cells: 0,
            cell: Vec::new(),
            scratch: Box::new([0; CELL_BYTES]),
            fields: Vec::new(),
            schema: None,
            texts: None,
            places: Vec::new(),
            unseen_lines: 0,
        }
    }

    /// The same, of records of so many bytes at most.
    #[must_use]
    pub const fn with_longest_record(mut self, bytes: usize) -> Self {
        self.pending.longest = bytes;
        self
    }

    /// Reads as far as it may: to the end of the names, or of what has come.
    fn read(&mut self) -> Result<()> {
        if !self.has_begun && !self.skip_mark() {
            return Ok(());
        }
        while self.may_go_on() && self.read_some()? {}
        if self.pending.is_too_long() {
            return Err(self.pending.too_long(self.line(), "; a quote may not be closed"));
        }
        Ok(())
    }

    /// Passes over a byte order mark; false as long as there may be one.
    fn skip_mark(&mut self) -> bool {
        self.has_begun = self.pending.bytes.len() >= MARK.len() || self.is_ended;
        if self.pending.bytes.starts_with(MARK) {
            (self.pending.at, self.start, self.record) = (MARK.len(), MARK.len(), MARK.len());
        }
        self.has_begun
    }

    /// Behind the names only once it is said where the texts are.
    const fn may_go_on(&self) -> bool {
        self.schema.is_none() || self.texts.is_some()
    }

    /// Reads a cell, or a part of one; false if there is none.
    fn read_some(&mut self) -> Result<bool> {
        let input = &self.pending.bytes[self.pending.at..];
        if input.is_empty() && !self.is_ended {
            return Ok(false);
        }
        let (result, read, written) = self.reader.read_field(input, &mut self.scratch[..]);
        self.pending.at += read;
        if self.schema.is_none() || self.wanted().is_some() {
            self.cell.extend_from_slice(&self.scratch[..written]);
        }
        match result {
            ReadFieldResult::InputEmpty => Ok(self.is_ended),
            ReadFieldResult::OutputFull => Ok(true),
            // Nothing is read where nothing stands behind a cell: at the very end.
            ReadFieldResult::Field { record_end } => self.end_cell(record_end, read == 0).map(|()| true),
            ReadFieldResult::End => {
                let end = self.pending.bytes.len();
                (self.pending.whole, self.start, self.record) = (end, end, end);
                Ok(false)
            }
        }
    }

    fn end_cell(&mut self, is_last: bool, is_at_end: bool) -> Result<()> {
        let (bytes, at) = (&self.pending.bytes, self.pending.at);
        let end = if is_at_end { at } else { at - 1 };
        if self.cells == 0 {
            // Blank lines, and the rest of an end of line.
            self.start += bytes[self.start..end].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.record = self.start;
        }
        let raw = &bytes[self.start..end];
        if is_at_end && is_unclosed(raw) {
            return Err(Error::Invalid(format!("line {}: a quote is not closed", self.line())));
        }
        let is_null = raw.is_empty();
        if self.schema.is_none() {
            self.end_name()?;
        }
        let cell = std::mem::take(&mut self.cell);
        if let Some(texts) = self.wanted() {
            texts.current = (!is_null).then_some(cell);
        }
        self.cells += 1;
        self.start = at;
        if is_last { self.end_record(end) } else { Ok(()) }
    }

    fn end_name(&mut self) -> Result<()> {
        let name = str::from_utf8(&self.cell);
        let name = name.map_err(|cause| Error::Invalid(format!("the line of names is not UTF-8: {cause}")))?;
        if self.fields.len() == MOST_COLUMNS {
            return Err(Error::Invalid(format!("the line of names has more than {MOST_COLUMNS} columns")));
        }
        self.fields.push(Field::new(name, DataType::Utf8, true));
        Ok(())
    }

    /// The texts that the current cell belongs to.
    fn wanted(&mut self) -> Option<&mut Texts> {
        let place = (*self.places.get(self.cells)?)?;
        self.texts.as_mut()?.get_mut(place)
    }

    /// Ends a record whose last cell ends at `end`.
    fn end_record(&mut self, end: usize) -> Result<()> {
        match &self.schema {
            None => self.schema = Some(Arc::new(Schema::new(std::mem::take(&mut self.fields)))),
            Some(schema) if schema.fields().len() == self.cells => {
                self.texts.iter_mut().flatten().for_each(|texts| texts.values.append_option(texts.current.take()));
            }
            Some(schema) => {
                return Err(Error::Invalid(format!(
                    "line {} has {} cells, and the line of names has {}",
                    self.line(),
                    self.cells,
                    schema.fields().len()
                )));
            }
        }
        let Pending { bytes, at, whole, ends, .. } = &mut self.pending;
        if bytes[..*at].last() == Some(&b'\r') && bytes.get(*at) == Some(&b'\n') {
            // Belongs to the line: whoever waits for lines has it whole.
            *at += 1;
            self.unseen_lines += 1;
        }
        ends.push(end);
        *whole = *at;
        (self.start, self.record, self.cells) = (*at, *at, 0);
        Ok(())
    }

    /// The line in which the current record begins, counted from 1.
    fn line(&self) -> u64 {
        let within = self.pending.bytes[self.record..self.pending.at].split(|byte| *byte == b'\n').count() - 1;
        self.reader.line() + self.unseen_lines - within as u64
    }

    fn take_lines(&mut self) -> Lines {
        let (lines, len) = self.pending.take();
        self.start -= len;
        self.record -= len;
        lines
    }
}

/// The cells that a [`CsvDecoder`] gives with the types of `schema`, which has the same columns: texts, or bytes that nobody looks at.
///
/// # Errors
/// [`Error::NotText`] that names the first row, counted from this batch's first, with a cell that is not UTF-8.
pub fn texts(cells: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let failed = |cause: ArrowError| Error::Failed(format!("cells do not fit: {cause}"));
    let columns = cells.columns().iter().zip(schema.fields()).map(|(cells, field)| {
        if *field.data_type() == DataType::Binary {
            return cast(cells, &DataType::Binary).map_err(failed);
        }
        let cells = cells.as_binary_view();
        let texts = cells.clone().to_string_view().map_err(|_| not_text(cells, field.name()))?;
        cast(&texts, field.data_type()).map_err(failed)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(cells.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(failed)
}

fn not_text(cells: &BinaryViewArray, name: &str) -> Error {
    let cause = |cell: Option<&[u8]>| cell.and_then(|cell| str::from_utf8(cell).err());
    let found = cells.iter().map(cause).enumerate().find_map(|(row, cause)| Some((row, cause?.to_string())));
    let (row, cause) = found.unwrap_or_default();
    Error::NotText { row, cause: format!("column {name:?}: {cause}") }
}

/// Whether a cell at the very end begins with a quote that nothing closes.
fn is_unclosed(raw: &[u8]) -> bool {
    let Some(inner) = raw.strip_prefix(b"\"") else { return false };
    let mut quotes = inner.split(|byte| *byte == b'"').skip(1).peekable();
    // Two quotes with nothing between them are one that is part of the cell.
    while let Some(between) = quotes.next() {
        if !between.is_empty() || quotes.peek().is_none() {
            return false;
        }
        quotes.next();
    }
    true
}

impl LineDecoder for CsvDecoder {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.bytes.extend_from_slice(bytes);
        self.read()
    }

    fn end(&mut self) -> Result<()> {
        self.is_ended = true;
        self.read()?;
        if self.schema.is_none() {
            return Err(Error::Invalid("no line of names: CSV begins with one".to_owned()));
        }
        Ok(())
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    fn begin(&mut self, texts: &[usize], _new_names: &[String]) -> Result<Lines> {
        let names = self.take_lines();
        self.places = vec![None; self.schema.as_ref().map_or(0, |schema| schema.fields().len())];
        for (place, &column) in texts.iter().enumerate() {
            self.places[column] = Some(place);
        }
        let texts = texts.iter().map(|&column| Texts { column, values: BinaryViewBuilder::new(), current: None });
        self.texts = Some(texts.collect());
        self.read()?;
        Ok(names)
    }

    fn take(&mut self) -> Result<Option<Block>> {
        let (Some(schema), true) = (self.schema(), self.pending.whole > 0) else { return Ok(None) };
        let lines = self.take_lines();
        let texts = self.texts.iter_mut().flatten();
        let (columns, arrays): (Vec<_>, Vec<_>) =
            texts.map(|texts| (texts.column, Arc::new(texts.values.finish()) as ArrayRef)).unzip();
        Block::new(lines, &schema, &columns, arrays).map(Some)
    }

    fn waiting(&self) -> usize {
        self.pending.waiting()
    }
}

#[cfg(test)]
mod tests;
