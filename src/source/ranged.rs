//! A file that is read by range: a local one, or an object of a store. Every read says where, so any number of readers share
//! one handle.
//!
//! | module | owns |
//! |---|---|
//! | `object` | an object: what of it is kept, and what is asked for |
//! | `kept` | bytes that came before they are read |
//! | `passage` | an object from front to back, of which some is kept |

mod kept;
mod object;
mod passage;

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Take};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use self::object::ObjectFile;
pub use self::object::Prefetch;
use self::passage::Passage;
use super::Fingerprint;
use crate::store::Object;

/// An open file, read no further than it went when it was opened.
#[derive(Debug, Clone)]
pub struct RangedFile {
    place: Place,
    opened: Fingerprint,
}

#[derive(Debug, Clone)]
enum Place {
    Local(Arc<File>),
    Object(Arc<ObjectFile>),
}

impl RangedFile {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says, or that it is not a file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(File::open(path)?)
    }

    /// One that is open already.
    ///
    /// # Errors
    /// As [`RangedFile::open`].
    pub fn of(file: File) -> Result<Self> {
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(Error::other("not a file"));
        }
        Ok(Self { place: Place::Local(Arc::new(file)), opened: Fingerprint::of(&found) })
    }

    /// An object. Its reads block.
    pub fn of_object(object: Object) -> Self {
        let opened = Fingerprint::of_object(object.entry());
        Self { place: Place::Object(Arc::new(ObjectFile::new(object))), opened }
    }

    /// Its length when it was opened, in bytes.
    pub const fn len(&self) -> u64 {
        self.opened.len
    }

    /// What it was when it was opened.
    pub const fn opened(&self) -> &Fingerprint {
        &self.opened
    }

    /// What it is now. Blocks.
    ///
    /// # Errors
    /// What the system or the store says.
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        match &self.place {
            Place::Local(file) => Ok(Fingerprint::of(&file.metadata()?)),
            Place::Object(object) => object.fingerprint(),
        }
    }

    /// Whether it is no longer what was opened.
    ///
    /// # Errors
    /// What the system or the store says.
    pub fn has_changed(&self) -> Result<bool> {
        Ok(self.fingerprint()? != self.opened)
    }

    /// The `len` bytes from `start` on.
    ///
    /// # Errors
    /// If the file does not have them, or what the system says.
    pub fn range(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        // Before room is made for them: the length may come out of a damaged file.
        if start.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            let what = format!("bytes {start} to {start} + {len} of a file of {}", self.len());
            return Err(Error::new(ErrorKind::UnexpectedEof, what));
        }
        let mut bytes = vec![0; len];
        self.reader(start).read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A reader of its own, of what follows `start`.
    pub fn reader(&self, start: u64) -> RangeReader {
        RangeReader { place: self.place.clone(), at: start }
    }

    /// These ranges will be read soon: of an object they are fetched now, and kept until the value is dropped. A local file is
    /// as near as it can be.
    pub fn expect(&self, ranges: &[Range<u64>]) -> Prefetch {
        match &self.place {
            Place::Local(_) => Prefetch::default(),
            Place::Object(object) => object.expect(ranges),
        }
    }

    /// These ranges, group by group, will be read after [`RangedFile::onward`] has passed them: what comes by of an object is
    /// kept until [`RangedFile::expect`] has them and lets them go, so that each byte of it is asked for once.
    pub fn keep_passing(&self, groups: Vec<Vec<Range<u64>>>) {
        if let Place::Object(object) = &self.place {
            object.keep_passing(groups);
        }
    }

    /// A part of it from front to back.
    pub fn onward(&self, part: Range<u64>) -> Onward {
        match &self.place {
            Place::Local(_) => Onward::Local(self.reader(part.start).take(part.end.saturating_sub(part.start))),
            Place::Object(object) => Onward::Object(object.onward(part)),
        }
    }

    /// Reads what stands at `at`, as much as the system gives at once; nothing at the end.
    fn read_at(file: &File, bytes: &mut [u8], at: u64) -> Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(file, bytes, at);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(file, bytes, at);
    }
}

/// Reads on from a place in a file.
#[derive(Debug)]
pub struct RangeReader {
    place: Place,
    at: u64,
}

impl Read for RangeReader {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let read = match &self.place {
            Place::Local(file) => RangedFile::read_at(file, bytes, self.at)?,
            Place::Object(object) => object.read_at(bytes, self.at)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads a part of a file from front to back.
#[derive(Debug)]
pub enum Onward {
    /// A local file.
    Local(Take<RangeReader>),
    /// An object.
    Object(Passage),
}

impl Read for Onward {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self {
            Self::Local(reader) => reader.read(bytes),
            Self::Object(passage) => passage.read(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, RangedFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let file = RangedFile::open(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn readers_do_not_share_a_position() {
        let (_folder, file) = file(b"0123456789");
        let (mut one, mut other) = (file.reader(2), file.reader(5));
        let read = |reader: &mut RangeReader| {
            let mut bytes = [0; 2];
            reader.read_exact(&mut bytes).unwrap();
            bytes
        };
        assert_eq!([read(&mut one), read(&mut other), read(&mut one)], [*b"23", *b"56", *b"45"]);
        assert_eq!(file.range(8, 2).unwrap(), b"89");
    }

    #[test]
    fn a_range_beyond_the_end_is_refused_before_room_is_made() {
        let (_folder, file) = file(b"0123456789");
        for (start, len) in [(9, 2), (0, usize::MAX), (u64::MAX, 1)] {
            assert_eq!(file.range(start, len).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        assert_eq!(file.range(10, 0).unwrap(), b"");
    }
}
