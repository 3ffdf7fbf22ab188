//! What stands behind the bytes that an answer has in common with its body: those are sent from the body, and kept once.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::sink::Destination;
use crate::spool::SpoolFile;

/// Takes an output from its first byte on, and keeps what comes behind the first bytes. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Tail {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Bytes still to come that are not kept.
    skipping: u64,
    file: SpoolFile,
    /// Why the file could not be written.
    failure: Option<Error>,
}

impl Tail {
    /// Keeps in `file` what comes behind so many bytes.
    pub fn new(skipping: u64, file: SpoolFile) -> Self {
        Self { state: Arc::new(Mutex::new(State { skipping, file, failure: None })) }
    }

    /// Why nothing more could be written, or else `error`, which only says that.
    pub fn failure(&self, error: Error) -> Error {
        self.lock().failure.take().unwrap_or(error)
    }

    /// How much was kept, in bytes.
    pub fn len(&self) -> u64 {
        self.lock().file.len()
    }

    /// At most `len` bytes of what was kept. Blocks.
    ///
    /// # Errors
    /// As [`SpoolFile::read_at`].
    pub fn read_at(&self, start: u64, len: usize) -> Result<Vec<u8>, Error> {
        self.lock().file.read_at(start, len)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let skipped = usize::try_from(state.skipping).unwrap_or(usize::MAX).min(bytes.len());
        state.skipping -= skipped as u64;
        if let Err(error) = state.file.append(&bytes[skipped..]) {
            state.failure = Some(error.clone());
            return Err(io::Error::other(error));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing of it is to outlive the process.
impl Destination for Tail {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn what_is_common_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned(), 6);
        let tail = Tail::new(5, spool.create().unwrap());
        for part in ["012", "345", "6", ""] {
            tail.clone().write_all(part.as_bytes()).unwrap();
        }
        assert_eq!((tail.len(), tail.read_at(0, 10).unwrap()), (2, b"56".to_vec()));
        assert!(tail.clone().write_all(b"01234").is_err());
        assert!(matches!(tail.failure(Error::Failed(String::new())), Error::TooLarge(_)));
        assert!(matches!(tail.failure(Error::Failed(String::new())), Error::Failed(_)));
    }
}
