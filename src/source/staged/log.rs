//! Bytes that are appended and read back by range: in memory while they are few, then in the spool.

use arrow::buffer::Buffer;

use crate::spool::{Spool, SpoolFile};
use crate::{Error, Result};

/// The bytes, and where they go when they are too many.
pub struct Log {
    place: Place,
    memory_bytes: usize,
    spool: Spool,
}

enum Place {
    Memory(Vec<u8>),
    Spooled(SpoolFile),
}

impl Log {
    /// An empty one, of which so many bytes may be in memory.
    pub fn new(memory_bytes: usize, spool: Spool) -> Self {
        Self { place: Place::Memory(Vec::new()), memory_bytes, spool }
    }

    /// How many bytes are there.
    pub fn len(&self) -> u64 {
        match &self.place {
            Place::Memory(bytes) => bytes.len() as u64,
            Place::Spooled(file) => file.len(),
        }
    }

    /// Puts bytes behind the others, and says where they begin. Blocks.
    ///
    /// # Errors
    /// Those of [`SpoolFile::append`].
    pub fn append(&mut self, more: &[u8]) -> Result<u64> {
        let at = self.len();
        if let Place::Memory(bytes) = &mut self.place {
            if bytes.len() + more.len() <= self.memory_bytes {
                bytes.extend_from_slice(more);
                return Ok(at);
            }
            let mut file = self.spool.create()?;
            file.append(bytes)?;
            self.place = Place::Spooled(file);
        }
        if let Place::Spooled(file) = &mut self.place {
            file.append(more)?;
        }
        Ok(at)
    }

    /// So many bytes from there on. Blocks.
    ///
    /// # Errors
    /// [`Error::Failed`] where they are not.
    pub fn read(&self, at: u64, len: u64) -> Result<Buffer> {
        let gone = || Error::Failed(format!("{len} bytes at {at} of an uploaded table are gone"));
        let count = usize::try_from(len).map_err(|_| gone())?;
        match &self.place {
            Place::Memory(bytes) => {
                let from = usize::try_from(at).map_err(|_| gone())?;
                let bytes = bytes.get(from..).and_then(|rest| rest.get(..count)).ok_or_else(gone)?;
                Ok(Buffer::from(bytes))
            }
            Place::Spooled(file) => {
                let bytes = file.read_at(at, count)?;
                if bytes.len() == count { Ok(Buffer::from_vec(bytes)) } else { Err(gone()) }
            }
        }
    }

    /// Whether it is in the spool.
    #[cfg(test)]
    pub const fn is_spooled(&self) -> bool {
        matches!(self.place, Place::Spooled(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_memory_goes_to_the_spool_and_is_read_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned(), 100);
        let mut log = Log::new(8, spool.clone());
        assert_eq!((log.append(b"0123").unwrap(), log.append(b"4567").unwrap()), (0, 4));
        assert!(!log.is_spooled() && spool.used() == 0);
        assert_eq!(log.read(2, 4).unwrap().as_slice(), b"2345");
        assert_eq!(log.append(b"89").unwrap(), 8);
        assert!(log.is_spooled());
        assert_eq!((log.len(), spool.used()), (10, 10));
        assert_eq!(log.read(2, 8).unwrap().as_slice(), b"23456789");
        for (at, len) in [(9, 2), (11, 1), (u64::MAX, 1), (0, u64::MAX)] {
            assert!(matches!(log.read(at, len), Err(Error::Failed(_))), "{at} {len}");
        }
        assert!(matches!(log.append(&[0; 91]), Err(Error::TooLarge(_))));
        drop(log);
        assert_eq!(spool.used(), 0);
    }

    #[test]
    fn a_spool_without_room_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(1, Spool::new(folder.path().to_owned(), 3));
        assert!(matches!(log.append(b"0123"), Err(Error::TooLarge(_))));
        let mut log = Log::new(0, Spool::new("/nowhere/at/all".into(), 100));
        assert!(matches!(log.append(b"0"), Err(Error::Busy(_))));
    }
}
