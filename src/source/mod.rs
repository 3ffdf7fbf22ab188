//! Where tables come from.
//!
//! | module | owns |
//! |---|---|
//! | `ranged` | a local file or an object, read by range |
//! | `ahead` | batches decoded on a thread of their own, a few ahead |
//! | [`sequential`] | bytes from the first to the last |
//! | `slices` | batches in slices of some bytes |
//! | [`ipc`] | streams of Arrow IPC |
//! | `raw` | strings as bytes that nobody has looked at yet |
//! | `typed` | views and such bytes, as the types that their table has |
//! | [`lines`] | tables that are lines of text, kept as they came |
//! | [`csv`], [`json`] | CSV, and JSON lines |
//! | [`staged`] | tables that came in batch by batch, in memory or in the spool |
//! | [`parquet`] | Parquet files: footer, schema, row groups |

pub mod ahead;
pub mod csv;
pub mod ipc;
pub mod json;
pub mod lines;
pub mod parquet;
mod ranged;
mod raw;
pub mod sequential;
mod slices;
pub mod staged;
mod typed;

use std::fmt::Debug;
use std::fs::Metadata;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

use self::csv::CsvDecoder;
use self::json::JsonDecoder;
use self::lines::LineDecoder;
pub(crate) use self::ranged::RangedFile;
pub use self::raw::strings_as_bytes;
pub use self::slices::{compact, slices, typed_bytes};
pub use self::typed::{typed, with_strings};
use crate::format::TableFormat;
use crate::store::StoredObject;
use crate::{Error, Result};

/// What is said of a table that is no longer what was opened.
pub const CHANGED: &str = "it changed while it was read; run again";

/// A table that can be read in parts, by several readers at once.
pub trait Source: Debug + Send + Sync {
    /// What it is called in errors.
    fn path(&self) -> &Path;

    /// Its columns.
    fn schema(&self) -> &SchemaRef;

    /// Its parts (of Parquet, the row groups), in the order of the rows.
    fn parts(&self) -> &[Part];

    /// Decodes these columns of these parts and nothing else: batches of at most `batch_rows` rows (fewer where rows are long)
    /// in the order of rows and columns, none of which spans two parts. Bytes come as views, and strings as bytes that nobody
    /// has looked at, as [`typed()`] takes them. Dropping the stream ends the reading.
    ///
    /// The stream ends with the first error. Parts that are not there are none.
    fn read(
        self: Arc<Self>,
        parts: Range<usize>,
        columns: &[usize],
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>>;

    /// What it was when it was opened.
    fn fingerprint(&self) -> Fingerprint;

    /// Whether it is no longer what was opened.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be asked any more.
    fn has_changed(&self) -> Result<bool>;

    /// Fails if it is no longer what was opened.
    ///
    /// # Errors
    /// [`Error::File`], also if it cannot be asked any more.
    fn check_unchanged(&self) -> Result<()> {
        if self.has_changed()? { Err(Error::file(self.path(), CHANGED)) } else { Ok(()) }
    }

    /// Bytes of these columns of a part, as they are kept; none where nobody knows.
    fn bytes(&self, _part: usize, _columns: &[usize]) -> Option<u64> {
        None
    }

    /// About how many bytes a row of these columns takes once it is decoded, by the average; none where nobody knows.
    fn row_bytes(&self, _columns: &[usize]) -> Option<u64> {
        None
    }

    /// Bytes that a reader has from its first batch to its last: dictionaries that were kept as they are.
    fn kept_bytes(&self) -> usize {
        0
    }

    /// How many rows it has.
    fn rows(&self) -> u64 {
        self.parts().iter().map(|part| part.rows).fold(0, u64::saturating_add)
    }
}

/// What reads records of at most so many bytes: of CSV, or of JSON lines whose texts are under the keys that are `named`, if any are.
pub fn line_decoder(format: TableFormat, named: &[String], longest: usize) -> Box<dyn LineDecoder> {
    match format.delimiter() {
        Some(delimiter) => Box::new(CsvDecoder::new(delimiter).with_longest_record(longest)),
        None => Box::new(JsonDecoder::new(named.to_vec()).with_longest_record(longest)),
    }
}

/// A part of a table that can be read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How many rows it has.
    pub rows: u64,
}

/// What tells a file from what it was before, as cheaply as can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// In bytes.
    pub len: u64,
    /// When it was last written; none where the system does not say, or an etag says more.
    pub modified: Option<SystemTime>,
    /// What its store knows its content by; none of a local file, and where the store does not say.
    pub etag: Option<Arc<str>>,
}

impl Fingerprint {
    /// That of a file of which the system says so.
    pub fn of(found: &Metadata) -> Self {
        Self { len: found.len(), modified: found.modified().ok(), etag: None }
    }

    /// That of an object.
    pub fn of_object(found: &StoredObject) -> Self {
        Self { len: found.len, modified: found.etag.is_none().then_some(found.modified), etag: found.etag.clone() }
    }
}
