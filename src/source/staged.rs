//! Tables that came in batch by batch, kept as the messages of Arrow IPC that they are written as: every type as it came.

mod log;
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow::ipc::{MetadataVersion, root_as_message};
use futures::stream::BoxStream;

use self::log::Log;
use self::reader::{StagedReader, unread};
use super::ahead::decoded_ahead;
use super::{Fingerprint, Part, Source};
use crate::spool::Spool;
use crate::{Error, Result};

/// Batches and dictionaries of a table: each is found by an entry of some bytes, which stay in memory.
pub const MESSAGES: usize = 128 * 1024;

/// Rows of a part, at least, but of the last one.
const PART_ROWS: u64 = 64 * 1024;

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
    writer: Writer,
    log: Log,
    entries: Vec<Entry>,
    rows: u64,
    limits: StagedLimits,
}

/// A message in the log.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    /// Bytes of its header, and behind it of its body.
    header: u32,
    body: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// The values of this dictionary, from here on.
    Dictionary(i64),
    /// So many rows.
    Batch(u64),
}

/// arrow's writer of messages. A dictionary is written when it is new or has changed.
struct Writer {
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl StagedWriter {
    /// A table of this schema and no rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a schema that Arrow IPC does not carry.
    pub fn new(schema: SchemaRef, limits: StagedLimits, spool: Spool) -> Result<Self> {
        let mut writer = Writer {
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(false),
            options: IpcWriteOptions::default(),
            context: IpcWriteContext::default(),
        };
        let message = writer.generator.schema_to_bytes_with_dictionary_tracker(
            &schema,
            &mut writer.dictionaries,
            &writer.options,
        );
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
        let Writer { generator, dictionaries, options, context } = &mut self.writer;
        let encoded = generator.encode(batch, dictionaries, options, context);
        let (dictionaries, encoded) = encoded.map_err(|cause| unkept(&cause))?;
        for dictionary in dictionaries {
            let id = dictionary_id(&dictionary)?;
            self.keep(dictionary, What::Dictionary(id))?;
        }
        self.keep(encoded, What::Batch(batch.num_rows() as u64))?;
        self.rows = rows;
        Ok(())
    }

    fn keep(&mut self, message: EncodedData, what: What) -> Result<()> {
        if self.entries.len() >= MESSAGES {
            return Err(Error::TooLarge(format!(
                "an upload may have {MESSAGES} batches and dictionaries: send larger batches"
            )));
        }
        let mut bytes = Vec::with_capacity(message.ipc_message.len() + message.arrow_data.len() + 64);
        let (header, body) =
            write_message(&mut bytes, message, &self.writer.options).map_err(|cause| unkept(&cause))?;
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

/// Batches in groups of some rows, and where in the log each group begins and the last one ends.
fn parts(entries: &[Entry]) -> (Vec<Part>, Vec<usize>) {
    let (mut parts, mut starts) = (Vec::new(), Vec::new());
    let mut rows = 0;
    for (index, entry) in entries.iter().enumerate() {
        let What::Batch(more) = entry.what else { continue };
        if more > 0 && rows == 0 {
            starts.push(index);
        }
        rows += more;
        if rows >= PART_ROWS {
            parts.push(Part { rows });
            rows = 0;
        }
    }
    if rows > 0 {
        parts.push(Part { rows });
    }
    starts.push(entries.len());
    (parts, starts)
}

/// When a table was last used. Cheap to clone; all clones are of the same table.
#[derive(Clone)]
struct Used(Arc<Mutex<Instant>>);

impl Used {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn touch(&self) {
        *self.time() = Instant::now();
    }

    fn time(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table that came in whole.
pub struct StagedTable {
    path: PathBuf,
    schema: SchemaRef,
    numbered: SchemaRef,
    log: Arc<Log>,
    entries: Arc<[Entry]>,
    parts: Vec<Part>,
    starts: Vec<usize>,
    finished: SystemTime,
    used: Used,
}

impl fmt::Debug for StagedTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StagedTable({}, {} rows)", self.path.display(), self.rows())
    }
}

impl StagedTable {
    /// How many bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.log.len()
    }

    /// For how long nobody has used it.
    pub fn unused_for(&self) -> Duration {
        self.used.time().elapsed()
    }

    /// It is used now, as whoever reads it does.
    pub fn touch(&self) {
        self.used.touch();
    }

    /// A reader of these parts, from the dictionaries on that hold where they begin.
    fn reader(&self, parts: Range<usize>, columns: &[usize]) -> StagedReader {
        let last = self.parts.len();
        let start = self.starts.get(parts.start.min(last)).copied().unwrap_or(0);
        let end = self.starts.get(parts.end.min(last)).copied().unwrap_or(0);
        let mut held: HashMap<i64, usize> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate().take(start) {
            if let What::Dictionary(id) = entry.what {
                held.insert(id, index);
            }
        }
        // One dictionary may be the values of another, and then comes first.
        let mut messages: Vec<usize> = held.into_values().collect();
        messages.sort_unstable();
        messages.extend(start..end.max(start));
        StagedReader {
            decoder: FileDecoder::new(Arc::clone(&self.numbered), MetadataVersion::V5)
                .with_projection(columns.to_vec()),
            schema: self.schema.project(columns).map(Arc::new).map_err(|cause| unread(&cause)),
            log: Arc::clone(&self.log),
            entries: Arc::clone(&self.entries),
            used: self.used.clone(),
            messages,
        }
    }
}

impl Source for StagedTable {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn read(
        self: Arc<Self>,
        parts: Range<usize>,
        columns: &[usize],
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let reader = self.reader(parts, columns);
        decoded_ahead(move |give| reader.read(batch_rows.max(1), give))
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint { len: self.log.len(), modified: Some(self.finished) }
    }

    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
