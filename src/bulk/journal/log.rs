//! Where the bytes of a journal lie.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sink::sync_folder_of;
use crate::store::AppendLog;
use crate::{Error, Result};

/// How long a store is left alone between two records: a request takes about 50 ms, and costs money.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// Bytes that are only ever appended to, and are there after a power loss once they are.
pub trait JournalLog: Send {
    /// All that is there, from the beginning.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    fn read(&self) -> Result<Box<dyn Read + '_>>;

    /// Keeps the first `len` bytes alone, and appends behind them from then on.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    fn keep(&mut self, len: u64) -> Result<()>;

    /// Appends, durably.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// How long it should be left alone between two times: who writes at the other end of a network takes a while.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// An error about it.
    fn error(&self, cause: &dyn std::fmt::Display) -> Error;
}

impl JournalLog for AppendLog {
    fn read(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(Self::read(self)))
    }

    fn keep(&mut self, len: u64) -> Result<()> {
        Self::keep(self, len)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Self::append(self, bytes)
    }

    fn pause(&self) -> Duration {
        STORE_PAUSE
    }

    fn error(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::file(Path::new(&self.folder().to_string()), cause)
    }
}

/// A log in a local file.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    file: File,
    /// Whether its name is on the disk.
    is_named: bool,
}

impl FileLog {
    /// The log in this file, open to append, which errors call `path`.
    pub fn new(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file, is_named: false }
    }

    fn append_synced(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if self.is_named {
            return self.file.sync_data();
        }
        self.file.sync_all()?;
        sync_folder_of(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder_of)?;
        self.is_named = true;
        Ok(())
    }
}

impl JournalLog for FileLog {
    fn read(&self) -> Result<Box<dyn Read + '_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(|cause| self.error(&cause))?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    fn keep(&mut self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|cause| self.error(&cause))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.append_synced(bytes).map_err(|cause| self.error(&cause))
    }

    fn error(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::file(&self.path, cause)
    }
}
