//! Bytes that are read from the first to the last: those of a file, or of standard input.

use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use super::Fingerprint;
use super::ranged::RangedFile;
use crate::store::{FileLocation, Stores};
use crate::{Error, Result};

/// How much is read at once, in bytes. Pieces are as long as this, but for the last: the same bytes come in the same pieces.
const PIECE_BYTES: u64 = 64 << 10;

/// What standard input and standard output are called.
pub const STANDARD: &str = "-";

/// An input that is read once.
pub struct Sequential {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    /// None of standard input.
    file: Option<RangedFile>,
}

impl Sequential {
    /// Opens a file or an object, or takes standard input. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, and what the store says.
    pub fn open(place: &FileLocation, stores: &Stores) -> Result<Self> {
        let path = place.name();
        let file = match place {
            FileLocation::Standard => return Ok(Self { path, input: Box::new(stdin()), file: None }),
            FileLocation::Path(path) => RangedFile::open(path).map_err(|cause| Error::file(path, cause))?,
            FileLocation::Object(url) => RangedFile::of_object(stores.wait(stores.open(url))?),
        };
        Ok(Self { path, input: Box::new(file.onward(0..file.len())), file: Some(file) })
    }

    /// What errors call it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was when it was opened, if it is a file.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.file.as_ref().map(|file| file.opened().clone())
    }

    /// What tells whether it has changed, if it is a file.
    pub fn file(&self) -> Option<RangedFile> {
        self.file.clone()
    }

    /// The next piece; empty at the end. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] with what the system says.
    pub fn piece(&mut self) -> Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(PIECE_BYTES as usize);
        let read = (&mut self.input).take(PIECE_BYTES).read_to_end(&mut piece);
        read.map_err(|cause| Error::file(&self.path, cause))?;
        Ok(piece)
    }
}

impl Read for Sequential {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(bytes)
    }
}
