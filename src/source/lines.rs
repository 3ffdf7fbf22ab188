//! Tables whose records are lines of text, read out of bytes that come in pieces. What came is kept as it came.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};

use crate::{Error, Result};

/// The longest record of such a table in bytes, unless its decoder is told of another bound.
pub const LONGEST_RECORD: usize = 16 << 20;

/// Columns that such a table has, at most: each takes some hundred bytes, and a comma makes one.
pub(super) const MOST_COLUMNS: usize = 16_384;

/// What some writers put before the first line.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Records as they came, with all that stands between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Where each of them takes more cells: before its line ends, or before its closing brace.
    pub ends: Vec<usize>,
}

impl Lines {
    /// The first so many records, and the others with all that stands before and behind them.
    pub fn split(mut self, records: usize) -> (Self, Self) {
        let Some(&end) = records.checked_sub(1).and_then(|last| self.ends.get(last)) else {
            return (Self::default(), self);
        };
        let cut = end + self.bytes[end..].iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).count();
        let is_pair = self.bytes[cut..].starts_with(b"\r\n");
        let cut = (cut + 1 + usize::from(is_pair)).min(self.bytes.len());
        let bytes = self.bytes.split_off(cut);
        let ends = self.ends.split_off(records).into_iter().map(|end| end - cut).collect();
        (self, Self { bytes, ends })
    }
}

/// Whole records, and their texts.
#[derive(Debug)]
pub struct Block {
    /// What they are.
    pub lines: Lines,
    /// The columns of texts, null where there is none.
    pub texts: RecordBatch,
}

impl Block {
    pub(super) fn new(lines: Lines, schema: &Schema, texts: &[usize], arrays: Vec<ArrayRef>) -> Result<Self> {
        let named = texts.iter().zip(&arrays);
        let fields = named.map(|(text, array)| Field::new(schema.field(*text).name(), array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        let options = RecordBatchOptions::new().with_row_count(Some(lines.ends.len()));
        let texts = RecordBatch::try_new_with_options(schema, arrays, &options);
        Ok(Self { lines, texts: texts.map_err(|cause| Error::Failed(format!("texts do not fit: {cause}")))? })
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.lines.bytes.capacity()
            + self.lines.ends.capacity() * size_of::<usize>()
            + self.texts.get_array_memory_size()
    }
}

/// Reads records out of bytes that come in pieces, however those are cut.
pub trait LineDecoder: Send {
    /// Takes what comes next.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the line, [`Error::TooLarge`] for one that is too long, and [`Error::NotText`] for a text that is
    /// none.
    fn push(&mut self, bytes: &[u8]) -> Result<()>;

    /// Nothing more comes.
    ///
    /// # Errors
    /// As [`LineDecoder::push`].
    fn end(&mut self) -> Result<()>;

    /// The columns, once they are known: no further is read before [`LineDecoder::begin`].
    fn schema(&self) -> Option<SchemaRef>;

    /// Reads on, with the texts in the columns of these numbers, for new columns of these names. Gives what stands before the
    /// first record: a line of names, if the format has one.
    ///
    /// # Errors
    /// As [`LineDecoder::push`].
    fn begin(&mut self, texts: &[usize], new_names: &[String]) -> Result<Lines>;

    /// The records that have come whole, if there are any.
    ///
    /// # Errors
    /// [`Error::Failed`] where they cannot be brought together.
    fn take(&mut self) -> Result<Option<Block>>;

    /// How much has come that cannot be taken yet, in bytes: the record that has not come whole, and before [`LineDecoder::begin`]
    /// whatever there is.
    fn waiting(&self) -> usize;
}

/// The bytes that came and were not given out.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    /// How far they were read.
    pub(super) at: usize,
    /// Where the last whole record ends.
    pub(super) whole: usize,
    /// Where each of the whole ones takes more cells.
    pub(super) ends: Vec<usize>,
    /// The longest record that is taken, in bytes.
    pub(super) longest: usize,
}

impl Pending {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), at: 0, whole: 0, ends: Vec::new(), longest: LONGEST_RECORD }
    }

    /// The whole records, and how many bytes they are: so much nearer comes what stands behind.
    pub(super) fn take(&mut self) -> (Lines, usize) {
        let behind = self.bytes.split_off(self.whole);
        let bytes = std::mem::replace(&mut self.bytes, behind);
        let len = bytes.len();
        self.at -= len;
        self.whole = 0;
        (Lines { bytes, ends: std::mem::take(&mut self.ends) }, len)
    }

    pub(super) const fn waiting(&self) -> usize {
        self.bytes.len() - self.whole
    }

    pub(super) const fn is_too_long(&self) -> bool {
        self.waiting() > self.longest
    }

    /// A record is longer than it may be. A `hint` says why that may be.
    pub(super) fn too_long(&self, line: u64, hint: &str) -> Error {
        Error::TooLarge(format!("line {line} is longer than {} bytes{hint}", self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_between_records() {
        for (text, ends, first) in [
            ("a\nb\n", [1, 3], "a\n"),
            ("a\r\n\r\nb", [1, 6], "a\r\n"),
            ("a\rb\r", [1, 3], "a\r"),
            ("{}  \n{}", [1, 6], "{}  \n"),
        ] {
            let lines = Lines { bytes: text.as_bytes().to_vec(), ends: ends.to_vec() };
            let (one, other) = lines.clone().split(1);
            assert_eq!((one.bytes.as_slice(), one.ends), (first.as_bytes(), vec![ends[0]]));
            assert_eq!([one.bytes, other.bytes.clone()].concat(), text.as_bytes());
            assert_eq!(other.ends, [ends[1] - first.len()]);
            assert_eq!(lines.clone().split(0), (Lines::default(), lines.clone()));
            assert_eq!(lines.clone().split(2).0.ends, lines.ends);
        }
    }
}
