//! What of a file is scored already, so that a run that was killed goes on where it was.
//!
//! ```text
//! journal    identity of the job │ record │ record │ …
//! record     rows done with it │ tally so far │ new columns of its rows, as Arrow IPC
//! ```

mod frame;
mod log;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::log::{FileLog, JournalLog};
use crate::identity::JobIdentity;
use crate::{Error, Result};

/// Bytes of new columns in memory with which a record is full.
const RECORD_BYTES: usize = 64 << 20;

/// How hard tallies are packed, which hold texts.
const LEVEL: i32 = 3;

/// With how much a record is written, at most; a log that is to be left alone for a while gets it later.
#[derive(Debug, Clone, Copy)]
pub struct CommitEvery {
    /// Rows.
    pub rows: usize,
    /// Time.
    pub time: Duration,
}

/// The journal of one file.
pub struct Journal {
    log: Box<dyn JournalLog>,
    schema: SchemaRef,
    identity: Vec<u8>,
    every: CommitEvery,
    /// Rows whose scores are there after a power loss.
    committed: u64,
    /// Of the last record, as it was given.
    tally: Option<Vec<u8>>,
    /// Whether the identity is written.
    is_begun: bool,
    waiting: Vec<RecordBatch>,
    since: Instant,
}

impl Journal {
    /// Opens the journal that is in `log`, or begins one, of new columns of `fields`. What an earlier run did not finish to write is
    /// not there. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what differs if it is of another job, unless `force` drops that; [`Error::File`] if it cannot be
    /// read or written.
    pub fn open(
        log: Box<dyn JournalLog>,
        identity: &JobIdentity,
        fields: &Fields,
        every: CommitEvery,
        force: bool,
    ) -> Result<Self> {
        let mut journal = Self {
            log,
            schema: Arc::new(Schema::new(fields.clone())),
            identity: identity.to_json()?,
            every,
            committed: 0,
            tally: None,
            is_begun: false,
            waiting: Vec::new(),
            since: Instant::now(),
        };
        let len = journal.scan(identity, force)?;
        journal.log.keep(len)?;
        Ok(journal)
    }

    /// Rows whose scores are there.
    pub const fn rows(&self) -> u64 {
        self.committed
    }

    /// The tally of those rows, if there are any.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub fn tally<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let read = |packed: &Vec<u8>| {
            let json = zstd::decode_all(&packed[..]).map_err(|cause| self.log.error(&cause))?;
            serde_json::from_slice(&json).map_err(|cause| self.log.error(&cause))
        };
        self.tally.as_ref().map(read).transpose()
    }

    /// Gives the new columns of all rows that it has taken, in their order, to `give`. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, and those of `give`.
    pub fn replay(&self, mut give: impl FnMut(Vec<ArrayRef>) -> Result<()>) -> Result<()> {
        let mut pieces = Pieces(self.log.read()?);
        // The identity.
        pieces.next(&*self.log)?;
        let mut rows = 0;
        while rows < self.committed {
            let piece = pieces.next(&*self.log)?.ok_or_else(|| self.log.error(&"it became shorter"))?;
            let record = Record::read(&piece).ok_or_else(|| self.log.error(&"damaged"))?;
            for batch in record.batches().map_err(|cause| self.log.error(&cause))? {
                give(batch.map_err(|cause| self.log.error(&cause))?.columns().to_vec())?;
            }
            rows = record.rows;
        }
        self.waiting.iter().try_for_each(|batch| give(batch.columns().to_vec()))
    }

    /// Takes the new columns of the next rows. They are there after a power loss once a record is full, whose `tally` is that of all
    /// rows so far. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn append<T: Serialize>(&mut self, columns: &[ArrayRef], tally: &T) -> Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns.to_vec());
        self.waiting.push(batch.map_err(|cause| Error::Failed(format!("scores do not fit: {cause}")))?);
        let (rows, bytes) = self
            .waiting
            .iter()
            .fold((0, 0), |(rows, bytes), batch| (rows + batch.num_rows(), bytes + batch.get_array_memory_size()));
        let since = self.since.elapsed();
        let is_due = rows >= self.every.rows && since >= self.log.pause() || since >= self.every.time;
        if !is_due && bytes < RECORD_BYTES {
            return Ok(());
        }
        self.commit(tally)
    }

    /// Makes what was taken durable. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn commit<T: Serialize>(&mut self, tally: &T) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.since = Instant::now();
        let rows: usize = waiting.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(());
        }
        let tally = serde_json::to_vec(tally).map_err(|cause| Error::Failed(format!("no tally: {cause}")))?;
        let tally = zstd::encode_all(&tally[..], LEVEL).map_err(|cause| self.log.error(&cause))?;
        let rows = self.committed + rows as u64;
        let piece = record(rows, &tally, &self.schema, &waiting).map_err(|cause| self.log.error(&cause))?;
        let failed = |cause| self.log.error(&cause);
        let mut bytes = if self.is_begun { Vec::new() } else { frame::framed(&self.identity).map_err(failed)? };
        bytes.extend_from_slice(&frame::framed(&piece).map_err(failed)?);
        self.log.append(&bytes)?;
        self.is_begun = true;
        self.committed = rows;
        Ok(())
    }

    /// Reads what is there, and gives its length, in bytes.
    fn scan(&mut self, identity: &JobIdentity, force: bool) -> Result<u64> {
        let mut pieces = Pieces(self.log.read()?);
        let Some(found) = pieces.next(&*self.log)? else { return Ok(0) };
        if found != self.identity {
            if force {
                return Ok(0);
            }
            let what = identity.difference(&found);
            return Err(Error::Invalid(format!(
                "{}: {what}; run what was begun, or drop it with --force",
                self.log.error(&"it is the journal of another job")
            )));
        }
        let mut len = frame::framed_len(found.len());
        let (mut committed, mut tally) = (0, None);
        while let Some(piece) = pieces.next(&*self.log)? {
            let Some(record) = Record::read(&piece).filter(|record| record.rows > committed) else { break };
            committed = record.rows;
            tally = Some(record.tally.to_vec());
            len += frame::framed_len(piece.len());
        }
        drop(pieces);
        (self.is_begun, self.committed, self.tally) = (true, committed, tally);
        Ok(len)
    }
}

/// The pieces of a log, one after the other.
struct Pieces<'a>(Box<dyn Read + 'a>);

impl Pieces<'_> {
    fn next(&mut self, log: &dyn JournalLog) -> Result<Option<Vec<u8>>> {
        frame::next(&mut *self.0).map_err(|cause| log.error(&cause))
    }
}

/// A record, read.
struct Record<'a> {
    /// Rows of the file that are done with it.
    rows: u64,
    tally: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(piece: &'a [u8]) -> Option<Self> {
        let (rows, rest) = piece.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (tally, columns) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        Some(Self { rows: u64::from_le_bytes(*rows), tally, columns })
    }

    fn batches(&self) -> Result<StreamReader<&'a [u8]>, ArrowError> {
        StreamReader::try_new(self.columns, None)
    }
}

fn record(rows: u64, tally: &[u8], schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut piece = rows.to_le_bytes().to_vec();
    piece.extend_from_slice(&(tally.len() as u32).to_le_bytes());
    piece.extend_from_slice(tally);
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
    let mut writer = StreamWriter::try_new_with_options(piece, schema, options)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.into_inner()
}

#[cfg(test)]
mod tests;
