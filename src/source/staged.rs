//! Tables that came in batch by batch, kept as the messages of Arrow IPC that they are written as: every type as it came.

mod log;
mod reader;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::FileDecoder;
use futures::stream::BoxStream;

use self::log::Log;
use self::reader::{StagedReader, unread};
pub use self::writer::{StagedLimits, StagedWriter};
use super::ahead::decoded_ahead;
use super::{Fingerprint, Part, Source};
use crate::Result;

/// Rows of a part, at least, but of the last one.
const PART_ROWS: u64 = 64 * 1024;

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

    fn kept_bytes(&self) -> usize {
        let mut largest: HashMap<i64, u64> = HashMap::new();
        for entry in self.entries.iter() {
            if let What::Dictionary(id) = entry.what {
                let bytes = largest.entry(id).or_default();
                *bytes = entry.body.max(*bytes);
            }
        }
        usize::try_from(largest.into_values().sum::<u64>()).unwrap_or(usize::MAX)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint { len: self.log.len(), modified: Some(self.finished), etag: None }
    }

    fn has_changed(&self) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
