//! Tables whose records are lines of text, read out of bytes that come in pieces. What came is kept as it came.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};

use crate::{Error, Result};

/// The longest record of such a table, in bytes.
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
    /// [`Error::Invalid`] that names the line, [`Error::TooLarge`] for one longer than [`LONGEST_RECORD`], and
    /// [`Error::NotText`] for a text that is none.
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
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    /// How far they were read.
    pub(super) at: usize,
    /// Where the last whole record ends.
    pub(super) whole: usize,
    /// Where each of the whole ones takes more cells.
    pub(super) ends: Vec<usize>,
}

impl Pending {
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
        self.waiting() > LONGEST_RECORD
    }
}

/// A record is longer than it may be. A `hint` says why that may be.
pub(super) fn too_long(line: u64, hint: &str) -> Error {
    Error::TooLarge(format!("line {line} is longer than {LONGEST_RECORD} bytes{hint}"))
}
