//! Batches as they come in, written as messages.

use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::{EncodedData, write_message};

use super::log::Log;
use super::{Entry, StagedTable, Used, What, parts};
use crate::ipc_writer::IpcWriter;
use crate::source::slices::{compact, slices};
use crate::spool::Spool;
use crate::{Error, Result};

/// Batches and dictionaries of a table: each is found by an entry of some bytes, which stay in memory.
const MESSAGES: usize = 128 * 1024;

/// Bytes of a batch's message, where its rows can be parted: a reader has some of them at a time.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// What bounds a table.
#[derive(Debug, Clone, Copy)]
pub struct StagedLimits {
    /// Rows.
    pub rows: u64,
    /// Bytes that it takes, wherever they are.
    pub bytes: u64,
    /// Bytes that it may have in memory; with more it goes to the spool.
    pub memory_bytes: usize,
}

/// A table that is coming in.
pub struct StagedWriter {
    schema: SchemaRef,
    /// The same with the numbers of its dictionaries, as a reader of its messages needs it.
    numbered: SchemaRef,
    writer: IpcWriter,
    log: Log,
    entries: Vec<Entry>,
    rows: u64,
    limits: StagedLimits,
}

impl StagedWriter {
    /// A table of this schema and no rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a schema that Arrow IPC does not carry.
    pub fn new(schema: SchemaRef, limits: StagedLimits, spool: Spool) -> Result<Self> {
        let (writer, message) = IpcWriter::new(&schema);
        let numbered = try_schema_from_flatbuffer_bytes(&message.ipc_message)
            .map_err(|cause| Error::Invalid(format!("the schema cannot be kept: {cause}")))?;
        let log = Log::new(limits.memory_bytes, spool);
        Ok(Self { schema, numbered: Arc::new(numbered), writer, log, entries: Vec::new(), rows: 0, limits })
    }

    /// How many rows are there.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Puts rows behind those that are there. Blocks.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a limit is passed, [`Error::Busy`] when the spool has no room, [`Error::Failed`] when Arrow cannot
    /// write the batch. The table is of no more use then.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = self.rows.saturating_add(batch.num_rows() as u64);
        if rows > self.limits.rows {
            return Err(Error::TooLarge(format!(
                "an upload may have {} rows: send several, or raise --upload-rows",
                self.limits.rows
            )));
        }
        for slice in slices(batch, MESSAGE_BYTES) {
            self.write(&compact(&slice).map_err(|cause| unkept(&cause))?)?;
        }
        self.rows = rows;
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let (dictionaries, encoded) = self.writer.write(batch).map_err(|cause| unkept(&cause))?;
        for dictionary in dictionaries {
            let id = dictionary_id(&dictionary)?;
            self.keep(dictionary, What::Dictionary(id))?;
        }
        self.keep(encoded, What::Batch(batch.num_rows() as u64))
    }

    fn keep(&mut self, message: EncodedData, what: What) -> Result<()> {
        if self.entries.len() >= MESSAGES {
            return Err(Error::TooLarge(format!(
                "an upload may have {MESSAGES} batches and dictionaries: send larger batches, or several uploads"
            )));
        }
        let mut bytes = Vec::with_capacity(message.ipc_message.len() + message.arrow_data.len() + 64);
        let (header, body) =
            write_message(&mut bytes, message, self.writer.options()).map_err(|cause| unkept(&cause))?;
        if self.log.len().saturating_add(bytes.len() as u64) > self.limits.bytes {
            return Err(Error::TooLarge(format!(
                "an upload may take {} bytes: send several, or raise --upload-limit",
                self.limits.bytes
            )));
        }
        let at = self.log.append(&bytes)?;
        self.entries.push(Entry { at, header: header as u32, body: body as u64, what });
        Ok(())
    }

    /// The table, with all the rows that it will ever have, by the name that errors call it.
    pub fn finish(self, name: &str) -> StagedTable {
        let (parts, starts) = parts(&self.entries);
        StagedTable {
            path: name.into(),
            schema: self.schema,
            numbered: self.numbered,
            log: Arc::new(self.log),
            entries: self.entries.into(),
            parts,
            starts,
            finished: SystemTime::now(),
            used: Used::now(),
        }
    }
}

/// The number of the dictionary in a message.
fn dictionary_id(message: &EncodedData) -> Result<i64> {
    let header = root_as_message(&message.ipc_message).ok().and_then(|message| message.header_as_dictionary_batch());
    let header = header.ok_or_else(|| Error::Failed("a dictionary was not written as one".to_owned()))?;
    Ok(header.id())
}

fn unkept(cause: &ArrowError) -> Error {
    Error::Failed(format!("a record batch cannot be kept: {cause}"))
}
