//! The output file: complete under its name, or absent. Until it is complete it lies in a folder beside, with the journal of its
//! scores, where the next run finds both.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What follows an output's name in that of the folder.
pub const WORK: &str = ".textflight";

/// The files in the folder.
const JOURNAL: &str = "journal";
const OUTPUT: &str = "output";

/// An output being written, in a folder of its own that one run has at a time. Dropped without [`FileTarget::commit`], it takes away
/// what was written, and the folder unless there is a journal in it.
#[derive(Debug)]
pub struct FileTarget {
    /// Where the output will be: where a link leads, if `-o` names one.
    path: PathBuf,
    folder: PathBuf,
    /// Locked while it is here.
    journal: Option<File>,
    /// Whether nobody needs the journal any more.
    is_done: bool,
}

impl FileTarget {
    /// Makes the folder, and those that it lies in, or takes over the one that an earlier run has left. `output` must not exist,
    /// or be a file that a finished output may replace.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that cannot be, [`Error::File`] if the folder cannot be made, [`Error::Busy`] while another
    /// run has it.
    pub fn create(output: &Path) -> Result<Self> {
        let path = check_output(output)?;
        let Some(name) = path.file_name() else {
            return Err(Error::Invalid(format!("-o {}: not the name of a file", output.display())));
        };
        let folder = path.with_file_name([name, WORK.as_ref()].iter().copied().collect::<OsString>());
        let journal = loop {
            match locked(&folder) {
                Ok(Some(journal)) => break journal,
                // The run that had it has just ended.
                Ok(None) => {}
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Error::Busy(format!("{}: another run is writing it", path.display())));
                }
                Err(cause) => return Err(Error::file(&path, cause)),
            }
        };
        Ok(Self { path, folder, journal: Some(journal), is_done: false })
    }

    /// Where the output will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle to write the output through, from its beginning. The file stays this value's own: it goes away with it, whatever
    /// still writes.
    ///
    /// # Errors
    /// [`Error::File`] if the system gives none.
    pub fn file(&self) -> Result<File> {
        File::create(self.folder.join(OUTPUT)).map_err(|cause| Error::file(&self.path, cause))
    }

    /// A handle to the journal, as an earlier run has left it.
    ///
    /// # Errors
    /// [`Error::File`] if the system gives none.
    pub fn journal(&self) -> Result<File> {
        let journal = self.journal.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), File::try_clone);
        journal.map_err(|cause| Error::file(&self.path, cause))
    }

    /// Where the journal lies.
    pub fn journal_path(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    /// Gives the file its name, in place of a file that has it, and takes the folder away. It must be on the disk already.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot have that name.
    pub fn commit(self) -> Result<()> {
        let failed = |cause| Error::file(&self.path, cause);
        fs::rename(self.folder.join(OUTPUT), &self.path).map_err(failed)?;
        sync_folder_of(&self.path).map_err(failed)?;
        self.discard();
        Ok(())
    }

    /// Takes the folder away with all that is in it: nothing of it is of use any more.
    pub fn discard(mut self) {
        self.is_done = true;
    }
}

impl Drop for FileTarget {
    /// Who cannot take things away leaves them behind: the output is not worse for it.
    fn drop(&mut self) {
        // The output first: with the journal goes the lock, and the next run writes an output of its own.
        let _ = fs::remove_file(self.folder.join(OUTPUT));
        let journal = self.journal.take();
        let found = journal.as_ref().and_then(|journal| journal.metadata().ok());
        if self.is_done || found.is_some_and(|found| found.len() == 0) {
            let _ = fs::remove_file(self.journal_path());
        }
        // Some network file systems keep a file that is open in its folder.
        drop(journal);
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The journal in this folder, locked; both are made if they are not there; none if it was taken away meanwhile.
fn locked(folder: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(folder)?;
    let path = folder.join(JOURNAL);
    let opened = File::options().read(true).append(true).create(true).open(&path);
    let journal = match opened {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match journal.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Unsupported => {
            return Err(io::Error::other("the file system of its folder has no locks, by which runs keep apart"));
        }
        Err(TryLockError::Error(cause)) => return Err(cause),
    }
    Ok(is_at(&journal, &path).then_some(journal))
}

/// Whether this file is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(one), Ok(other)) = (file.metadata(), fs::metadata(path)) {
        use std::os::unix::fs::MetadataExt;
        return (one.dev(), one.ino()) == (other.dev(), other.ino());
    }
    path.exists()
}

/// Fails unless `output` can be written, and is not one of the two names of `input`.
///
/// # Errors
/// [`Error::Invalid`] that says why.
pub fn check_pair(input: &Path, output: &Path) -> Result<()> {
    check_output(output)?;
    if is_same_file(input, output) {
        return Err(Error::Invalid(format!(
            "-o {} is the input {}: name another file",
            output.display(),
            input.display()
        )));
    }
    Ok(())
}

/// The path to write to.
///
/// # Errors
/// [`Error::Invalid`] for what is no file.
pub fn check_output(output: &Path) -> Result<PathBuf> {
    let invalid = |what: String| Error::Invalid(format!("-o {}: {what}", output.display()));
    match fs::metadata(output) {
        Ok(found) if found.is_dir() => Err(invalid("a folder; name the file to write".to_owned())),
        Ok(found) if !found.is_file() => Err(invalid("neither a file nor a new name".to_owned())),
        Ok(_) => fs::canonicalize(output).map_err(|cause| Error::file(output, cause)),
        Err(_) => Ok(output.to_owned()),
    }
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> Option<&Path> {
    match path.parent()? {
        here if here.as_os_str().is_empty() => Some(Path::new(".")),
        folder => Some(folder),
    }
}

/// Whether two names lead to one file, through symbolic or hard links too.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) {
        use std::os::unix::fs::MetadataExt;
        return (one.dev(), one.ino()) == (other.dev(), other.ino());
    }
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// A new name lasts only once its folder is on the disk as well.
///
/// # Errors
/// What the system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = folder_of(path) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_run_at_a_time_has_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        let target = FileTarget::create(&path).unwrap();
        let error = FileTarget::create(&path).unwrap_err();
        assert!(matches!(&error, Error::Busy(text) if text.ends_with("out.parquet: another run is writing it")));
        drop(target);
        assert_eq!(names(folder.path()), [""; 0]);
        FileTarget::create(&path).unwrap();
    }

    #[test]
    fn a_journal_stays_for_the_next_run_and_the_output_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        let target = FileTarget::create(&path).unwrap();
        target.file().unwrap().write_all(b"half").unwrap();
        target.journal().unwrap().write_all(b"scores").unwrap();
        drop(target);
        assert_eq!(names(folder.path()), ["out.parquet.textflight"]);
        assert_eq!(names(&folder.path().join("out.parquet.textflight")), ["journal"]);
        // What a killed run leaves is there, too.
        fs::write(folder.path().join("out.parquet.textflight").join("output"), b"half").unwrap();
        let target = FileTarget::create(&path).unwrap();
        assert_eq!(fs::read(target.journal_path()).unwrap(), b"scores");
        target.file().unwrap().write_all(b"rows").unwrap();
        target.commit().unwrap();
        assert_eq!(names(folder.path()), ["out.parquet"]);
        assert_eq!(fs::read(&path).unwrap(), b"rows");
        let target = FileTarget::create(&path).unwrap();
        target.journal().unwrap().write_all(b"scores").unwrap();
        target.discard();
        assert_eq!(names(folder.path()), ["out.parquet"]);
    }

    #[test]
    fn folders_that_it_lies_in_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("year=2026").join("month=01").join("out.parquet");
        let target = FileTarget::create(&path).unwrap();
        target.file().unwrap();
        target.commit().unwrap();
        assert!(path.is_file());
    }

    #[test]
    fn a_committed_file_has_its_name_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        let target = FileTarget::create(&path).unwrap();
        target.file().unwrap().write_all(b"rows").unwrap();
        assert!(!path.exists());
        target.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"rows");
        assert_eq!(names(folder.path()), ["out.parquet"]);
    }

    #[test]
    fn a_dropped_file_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        fs::write(&path, b"old").unwrap();
        let target = FileTarget::create(&path).unwrap();
        target.file().unwrap().write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(target);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.parquet"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_umask_decides_who_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, b"").unwrap();
        let path = folder.path().join("out.parquet");
        let target = FileTarget::create(&path).unwrap();
        target.file().unwrap();
        target.commit().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let target = FileTarget::create(&link).unwrap();
        target.file().unwrap().write_all(b"new").unwrap();
        target.commit().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn the_input_is_no_output() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.parquet");
        fs::write(&input, b"rows").unwrap();
        let detour = folder.path().join(".").join("in.parquet");
        let mut outputs = vec![input.clone(), detour];
        #[cfg(unix)]
        {
            let (soft, hard) = (folder.path().join("soft"), folder.path().join("hard"));
            std::os::unix::fs::symlink(&input, &soft).unwrap();
            fs::hard_link(&input, &hard).unwrap();
            outputs.extend([soft, hard]);
        }
        for output in outputs {
            let error = check_pair(&input, &output).unwrap_err().to_string();
            let (input, output) = (input.display(), output.display());
            assert_eq!(error, format!("-o {output} is the input {input}: name another file"));
        }
        check_pair(&input, &folder.path().join("other.parquet")).unwrap();
    }

    #[test]
    fn an_output_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cases =
            [(folder.path(), "a folder; name the file to write"), (Path::new("/"), "a folder; name the file to write")];
        for (output, what) in cases {
            let error = FileTarget::create(output).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)));
            assert!(error.to_string().ends_with(what), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        let error = FileTarget::create(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "-o /dev/null: neither a file nor a new name");
    }
}
