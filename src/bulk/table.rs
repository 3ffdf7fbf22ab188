//! A table to score: what it is, and its rows as they are scored.

mod arrow;
mod lines;
mod merged;
mod watch;

use std::path::Path;
use std::sync::Arc;

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::{Schema, SchemaRef};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use self::arrow::ArrowTable;
use self::lines::LineTable;
pub use self::merged::MergedTable;
pub use self::watch::ChangeWatch;
use super::inputs::Share;
use super::texts::{Reading, Truths, batches};
use super::truth::Truth;
use crate::format::TableFormat;
use crate::source::ahead::decoded_ahead;
use crate::source::ipc::ArrowReader;
use crate::source::lines::Lines;
use crate::source::parquet::ParquetFile;
use crate::source::sequential::Sequential;
use crate::source::{Fingerprint, RangedFile, Source, slices, strings_as_bytes, typed, typed_bytes};
use crate::store::{FileLocation, Stores};
use crate::{Error, Result};

/// Bytes of a piece with the types of its table, beyond which it is split: in a file a long text may lie once for many rows.
const LARGEST_PIECE: usize = 4 << 20;

/// Rows on their way to be scored, and what of them goes to the output.
#[derive(Debug)]
pub struct TablePiece {
    /// The columns that are scored, and those that come back.
    pub batch: RecordBatch,
    /// The right answers.
    pub truths: Truths,
    /// The records as they came, if they did as lines.
    pub lines: Lines,
    /// Bytes of the file that they were read from; 0 of a Parquet file, of which the rows say how far it is.
    pub file_bytes: u64,
}

impl TablePiece {
    /// No rows.
    pub fn none() -> Self {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        Self { batch, truths: Truths::new(), lines: Lines::default(), file_bytes: 0 }
    }

    /// What it holds, in bytes. All columns of a message of Arrow IPC lie in one buffer, of which each batch has its rows.
    pub fn bytes(&self) -> usize {
        typed_bytes(&self.batch) + self.lines.bytes.capacity()
    }

    /// The first so many rows, and the others.
    pub fn split(self, rows: usize) -> (Self, Self) {
        let Self { batch, mut truths, lines, file_bytes } = self;
        let behind = truths.split_off(rows.min(truths.len()));
        let (first, last) = if lines.ends.is_empty() { (Lines::default(), lines) } else { lines.split(rows) };
        let rest = batch.slice(rows, batch.num_rows() - rows);
        let of_first = part_of(file_bytes, rows, batch.num_rows());
        let first = Self { batch: batch.slice(0, rows), truths, lines: first, file_bytes: of_first };
        (first, Self { batch: rest, truths: behind, lines: last, file_bytes: file_bytes - of_first })
    }
}

/// What of a table is read.
#[derive(Debug, Clone)]
pub struct WantedColumns {
    /// The columns that are scored or come back, in ascending order.
    pub inputs: Vec<usize>,
    /// Those among all that are scored.
    pub texts: Vec<usize>,
    /// The column with the right answers.
    pub truth: Option<Truth>,
    /// Names that records may not have.
    pub taken: Vec<String>,
    /// Rows at a time, at most.
    pub batch_rows: usize,
    /// Whether rows come with the types of their table, since they come back.
    pub is_typed: bool,
}

/// A table that is open.
pub enum InputTable {
    /// A Parquet file.
    Parquet(Arc<ParquetFile>),
    /// CSV or JSON lines.
    Lines(Box<LineTable>),
    /// Arrow IPC.
    Arrow(Box<ArrowTable>),
    /// Several of one of those.
    Merged(Box<MergedTable>),
}

impl InputTable {
    /// Opens what is at `place` with the columns `named` by the caller: of a Parquet file this share of it. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or is no such table.
    pub fn open(
        place: &FileLocation,
        stores: &Stores,
        format: TableFormat,
        named: &[String],
        share: Share,
    ) -> Result<Self> {
        if format == TableFormat::Parquet {
            let file = ParquetFile::open_at(place, stores)?;
            let groups = share.row_groups(file.parts().len());
            let file = if share.is_whole() { file } else { file.excerpt(groups)? };
            return Ok(Self::Parquet(Arc::new(file)));
        }
        let input = Sequential::open(place, stores)?;
        if format.is_lines() {
            return LineTable::open(input, format, named).map(|table| Self::Lines(Box::new(table)));
        }
        let (path, file) = (input.path().to_owned(), input.file());
        let (reader, schema) = ArrowReader::begin(input).map_err(|error| about(&path, error))?;
        Ok(Self::Arrow(Box::new(ArrowTable { path, file, reader, schema })))
    }

    /// Has JSON lines without a record have these columns, too, of which they could say nothing.
    pub fn expect(&mut self, named: &[&str]) {
        if let Self::Lines(table) = self {
            table.expect(named);
        }
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        match self {
            Self::Parquet(file) => file.schema(),
            Self::Lines(table) => &table.schema,
            Self::Arrow(table) => &table.schema,
            Self::Merged(table) => &table.files.schema,
        }
    }

    /// What errors call it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Parquet(file) => file.path(),
            Self::Lines(table) => table.input.path(),
            Self::Arrow(table) => &table.path,
            Self::Merged(table) => &table.label,
        }
    }

    /// How many rows it has, where that is known before they are read.
    pub fn rows(&self) -> Option<u64> {
        match self {
            Self::Parquet(file) => Some(file.rows()),
            Self::Lines(_) | Self::Arrow(_) => None,
            Self::Merged(table) => table.rows,
        }
    }

    /// Whether its rows come as lines.
    pub fn is_lines(&self) -> bool {
        match self {
            Self::Lines(_) => true,
            Self::Parquet(_) | Self::Arrow(_) => false,
            Self::Merged(table) => table.is_lines(),
        }
    }

    /// What stands before the first row of lines, once it is said what is read.
    pub fn names(&self) -> Option<&Lines> {
        match self {
            Self::Lines(table) => Some(&table.names),
            Self::Parquet(_) | Self::Arrow(_) => None,
            Self::Merged(table) => table.names(),
        }
    }

    /// How long it is, in bytes, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Parquet(file) => Some(file.data_len()),
            Self::Lines(table) => table.input.file().map(|file| file.len()),
            Self::Arrow(table) => table.file.as_ref().map(RangedFile::len),
            Self::Merged(table) => Some(table.fingerprint.len),
        }
    }

    /// What it was when it was opened, and its footer if it has one; nothing of standard input.
    pub fn identity(&self) -> Option<(Fingerprint, Option<&[u8]>)> {
        match self {
            Self::Parquet(file) => Some((file.fingerprint(), Some(file.footer()))),
            Self::Lines(table) => Some((table.input.fingerprint()?, None)),
            Self::Arrow(table) => Some((table.file.as_ref()?.opened().clone(), None)),
            Self::Merged(table) => Some((table.fingerprint.clone(), table.footers.as_ref().map(|hash| &hash[..]))),
        }
    }

    /// What tells whether it has changed while it was read.
    pub fn watch(&self) -> ChangeWatch {
        match self {
            Self::Parquet(file) => ChangeWatch::Parquet(Arc::clone(file)),
            Self::Lines(table) => ChangeWatch::of(table.input.path(), table.input.file()),
            Self::Arrow(table) => ChangeWatch::of(&table.path, table.file.clone()),
            Self::Merged(table) => ChangeWatch::Merged(Arc::clone(&table.files.reached)),
        }
    }

    /// Reads on, with these columns. Blocks.
    ///
    /// # Errors
    /// What is wrong with the first records.
    pub fn begin(&mut self, wanted: &WantedColumns) -> Result<()> {
        match self {
            Self::Lines(table) => table.begin(wanted),
            Self::Arrow(table) => {
                let raw = strings_as_bytes(&table.schema, wanted.texts.iter().copied());
                table.reader.read_as(Arc::new(raw));
                Ok(())
            }
            Self::Merged(table) => table.begin(wanted),
            Self::Parquet(_) => Ok(()),
        }
    }

    /// Its rows behind the first `from_row`, which a Parquet file alone can pass over.
    pub fn read(self, wanted: WantedColumns, from_row: u64) -> BoxStream<'static, Result<TablePiece>> {
        match self {
            Self::Parquet(file) => parquet_pieces(file, wanted, from_row),
            Self::Lines(table) => decoded_ahead(move |give| table.read(&wanted, give)),
            Self::Arrow(table) => decoded_ahead(move |give| table.read(&wanted, give)),
            Self::Merged(table) => table.read(wanted),
        }
    }
}

fn parquet_pieces(
    file: Arc<ParquetFile>,
    wanted: WantedColumns,
    from_row: u64,
) -> BoxStream<'static, Result<TablePiece>> {
    let WantedColumns { inputs, texts, truth, batch_rows, is_typed, .. } = wanted;
    let read = strings_as_bytes(file.schema(), texts.into_iter()).project(&inputs).map(Arc::new);
    let reading = Reading { inputs, truth, batch_rows, from_row };
    let rows = batches(file as Arc<dyn Source>, reading);
    let pieces = rows.map_ok(move |(batch, truths)| {
        let parts = if is_typed { slices(&batch, LARGEST_PIECE) } else { vec![batch] };
        let mut rest = truths;
        let pieces: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let behind = rest.split_off(part.num_rows().min(rest.len()));
                let truths = std::mem::replace(&mut rest, behind);
                let batch = match &read {
                    Ok(read) if is_typed => typed(&part, Arc::clone(read))?,
                    Err(cause) => return Err(Error::Failed(format!("columns are missing: {cause}"))),
                    Ok(_) => part,
                };
                Ok(TablePiece { batch, truths, lines: Lines::default(), file_bytes: 0 })
            })
            .collect();
        futures::stream::iter(pieces)
    });
    pieces.try_flatten().boxed()
}

/// The part of so many bytes that the first rows are of all.
pub fn part_of(bytes: u64, rows: usize, of: usize) -> u64 {
    let part = u128::from(bytes) * rows as u128 / of.max(1) as u128;
    u64::try_from(part).unwrap_or(bytes)
}

/// What is wrong with a file, with its name.
fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Invalid(_) | Error::TooLarge(_) | Error::NotText { .. } => Error::file(path, error),
        other => other,
    }
}
