//! Where what clients send and is too large for memory is kept for a while: files without a name, in one folder, bounded in
//! sum. They are gone with their last handle, so that not even a process that is killed leaves one behind.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// The folder, and how much may lie there. Cheap to clone; all clones are the same one.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// In bytes.
    limit: u64,
    used: AtomicU64,
}

/// Eight GiB in the system's folder for temporary files, for those who serve without a configuration.
impl Default for Spool {
    fn default() -> Self {
        Self::new(std::env::temp_dir(), 8 << 30)
    }
}

impl Spool {
    /// A spool in `folder`, of at most `limit` bytes.
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self { shared: Arc::new(Shared { folder, limit, used: AtomicU64::new(0) }) }
    }

    /// Fails unless files can be made there.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says why not.
    pub fn check(&self) -> Result<()> {
        let made = tempfile::tempfile_in(&self.shared.folder);
        made.map(drop).map_err(|cause| Error::Invalid(format!("{}: {cause}", self.shared.folder.display())))
    }

    /// How much may lie there, in bytes.
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// How much lies there, in bytes.
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// A new file, empty. Blocks.
    ///
    /// # Errors
    /// [`Error::Busy`] if the system makes none.
    pub fn create(&self) -> Result<SpoolFile> {
        let file = tempfile::tempfile_in(&self.shared.folder).map_err(|cause| self.shared.unwritten(&cause))?;
        Ok(SpoolFile { file, share: Share { shared: Arc::clone(&self.shared), bytes: 0 } })
    }
}

impl Shared {
    /// The system has no room, or the folder is not what it was: that may be mended, and the same request pass.
    fn unwritten(&self, cause: &io::Error) -> Error {
        Error::Busy(format!(
            "no room in the spool {}: {cause}; try again later, or choose another folder with --spool-dir",
            self.folder.display()
        ))
    }
}

/// A part of what may lie in the spool, given back when it is dropped.
#[derive(Debug)]
struct Share {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Share {
    fn grow(&mut self, bytes: u64) -> Result<()> {
        let Shared { limit, used, .. } = &*self.shared;
        if self.bytes.saturating_add(bytes) > *limit {
            return Err(Error::TooLarge(format!(
                "this takes more room than the spool has: {limit} bytes; send less at a time, or raise --spool-limit"
            )));
        }
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|used| {
            Error::Busy(format!(
                "the spool is full: {used} of {limit} bytes are taken (--spool-limit); try again later"
            ))
        })?;
        self.bytes += bytes;
        Ok(())
    }

    fn shrink(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.shared.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

/// A file of the spool.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    share: Share,
}

impl SpoolFile {
    /// Writes all of it behind what is there. Blocks.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the spool could not hold it if it held nothing else, [`Error::Busy`] if it is full or its disk is.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let before = self.len();
        self.share.grow(bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(|cause| {
            // What was written of it is no part of the file.
            let cut = self.file.set_len(before).and_then(|()| self.file.seek(SeekFrom::Start(before)));
            if cut.is_ok() {
                self.share.shrink(bytes.len() as u64);
            }
            self.share.shared.unwritten(&cause)
        })
    }

    /// Empties the file. Blocks.
    ///
    /// # Errors
    /// [`Error::Busy`] if the system does not.
    pub fn clear(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|cause| self.share.shared.unwritten(&cause))?;
        self.share.shrink(self.len());
        Ok(())
    }

    /// At most `len` bytes from `start` on, fewer at the end. Blocks.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system does not give them.
    pub fn read_at(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        let left = usize::try_from(self.len().saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let read = read_exact_at(&self.file, &mut bytes, start);
        read.map_err(|cause| Error::Failed(format!("the spool {} cannot be read: {cause}", self.folder().display())))?;
        Ok(bytes)
    }

    /// Its length, in bytes.
    pub const fn len(&self) -> u64 {
        self.share.bytes
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.share.bytes == 0
    }

    /// The file, to be read by range; it stays as long as either of the two, its room counts as long as this one.
    ///
    /// # Errors
    /// [`Error::Busy`] if the system gives no second handle.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|cause| self.share.shared.unwritten(&cause))
    }

    /// The folder that it lies in, without a name there.
    pub fn folder(&self) -> &Path {
        &self.share.shared.folder
    }
}

fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, at);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}

/// For those who write to whatever there is: the error is an [`Error`] within.
impl Write for SpoolFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(limit: u64) -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned(), limit);
        (folder, spool)
    }

    #[test]
    fn a_file_has_no_name_and_can_be_read_while_it_grows() {
        let (folder, spool) = spool(100);
        let mut file = spool.create().unwrap();
        file.append(b"0123").unwrap();
        file.write_all(b"456").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!((file.len(), file.is_empty(), file.folder()), (7, false, folder.path()));
        assert_eq!(file.read_at(2, 4).unwrap(), b"2345");
        file.clear().unwrap();
        file.append(b"new").unwrap();
        assert_eq!(file.read_at(0, 10).unwrap(), b"new");
        assert_eq!(spool.used(), 3);
    }

    #[test]
    fn files_share_the_bound_and_give_it_back() {
        let (_folder, spool) = spool(10);
        let (mut one, mut other) = (spool.create().unwrap(), spool.create().unwrap());
        one.append(&[0; 6]).unwrap();
        let error = other.append(&[0; 5]).unwrap_err();
        assert!(matches!(&error, Error::Busy(text) if text.contains("6 of 10 bytes")), "{error}");
        let error = one.append(&[0; 5]).unwrap_err();
        assert!(matches!(&error, Error::TooLarge(text) if text.contains("10 bytes") && text.contains("--spool-limit")));
        other.append(&[0; 4]).unwrap();
        assert_eq!(spool.used(), 10);
        drop(one);
        other.append(&[0; 6]).unwrap();
        drop(other);
        assert_eq!(spool.used(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let spool = Spool::new(PathBuf::from("/nowhere/at/all"), 10);
        assert!(matches!(spool.check(), Err(Error::Invalid(text)) if text.starts_with("/nowhere/at/all: ")));
        let error = spool.create().unwrap_err();
        assert!(matches!(&error, Error::Busy(text) if text.contains("--spool-dir")), "{error}");
    }
}
