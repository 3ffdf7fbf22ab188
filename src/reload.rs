//! What is made of files, and made anew when they change: tokens, certificates.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::{error, info};

use crate::{Error, Result};

/// How often the files are looked at. A change counts once two looks have seen it alike, so that nobody acts on half a file,
/// or on the first of two.
pub const LOOKS: Duration = Duration::from_secs(1);

/// The largest file.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file, and the option that names it.
#[derive(Debug, Clone)]
pub struct Watched {
    option: &'static str,
    path: PathBuf,
}

/// What is in a file.
pub struct Content {
    file: Watched,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A value made of files, which follows them. One that a change would break stays as it was, and the log says why.
pub struct Reload<T> {
    /// What it is, in the log.
    what: &'static str,
    files: Vec<Watched>,
    make: Box<Make<T>>,
    is_followed: bool,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
}

type Make<T> = dyn Fn(&[Content]) -> Result<T> + Send + Sync;
type Fingerprint = [u8; 32];

/// What the files were like.
struct Seen {
    /// At the last look.
    last: Fingerprint,
    /// When the value was made, or could not be.
    judged: Fingerprint,
}

impl Watched {
    /// The file at `path`, which `option` named.
    pub fn new(option: &'static str, path: &Path) -> Self {
        Self { option, path: path.to_owned() }
    }

    fn wrong(&self, cause: &dyn fmt::Display) -> Error {
        Error::Invalid(format!("{} {}: {cause}", self.option, self.path.display()))
    }

    /// Reads it, as it is now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that cannot be read or is too large.
    pub fn read(&self) -> Result<Content> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&self.path).map_err(|error| self.wrong(&error))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| self.wrong(&error))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(self.wrong(&format!("it is larger than {MAX_BYTES} bytes")));
        }
        Ok(Content { file: self.clone(), bytes })
    }
}

impl Content {
    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The error that the file is wrong.
    pub fn wrong(&self, cause: &str) -> Error {
        self.file.wrong(&cause)
    }
}

impl<T: Send + Sync + 'static> Reload<T> {
    /// Makes the value for the first time.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that cannot be read or is too large, and what `make` says.
    pub fn open(
        what: &'static str,
        files: Vec<Watched>,
        make: impl Fn(&[Content]) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        let contents = read(&files)?;
        let current = RwLock::new(Arc::new(make(&contents)?));
        let fingerprint = fingerprint(&Ok(contents));
        let seen = Mutex::new(Seen { last: fingerprint, judged: fingerprint });
        // What can be read once only, such as a pipe, is not looked at again.
        let unfollowed = files.iter().find(|file| !file.path.is_file());
        if let Some(Watched { option, path }) = unfollowed {
            info!("{what} stay as they are now: {option} {} is no file that could be read again", path.display());
        }
        let is_followed = unfollowed.is_none() && !files.is_empty();
        Ok(Self { what, files, make: Box::new(make), is_followed, current, seen })
    }

    /// The value as it is now.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows the files, if they are such, until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        if !self.is_followed {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(LOOKS).await;
            let this = Arc::clone(&self);
            // A file may lie where reading takes long.
            if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
                error!(%error, "{} were not looked at", self.what);
            }
        }
    }

    fn look(&self) {
        // Opening a pipe would wait for whoever writes into it.
        let lost = self.files.iter().find(|file| !file.path.is_file());
        let found = lost.map_or_else(|| read(&self.files), |file| Err(file.wrong(&"there is no such file")));
        let fingerprint = fingerprint(&found);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = std::mem::replace(&mut seen.last, fingerprint) == fingerprint;
        if !is_settled || seen.judged == fingerprint {
            return;
        }
        seen.judged = fingerprint;
        match found.and_then(|contents| (self.make)(&contents)) {
            Ok(value) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                info!("{} have changed, and are used as they are now", self.what);
            }
            Err(error) => error!(%error, "{} have changed and cannot be used: the old ones are", self.what),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Reload<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_struct("Reload").field("files", &self.files).field("current", &current).finish_non_exhaustive()
    }
}

fn read(files: &[Watched]) -> Result<Vec<Content>> {
    files.iter().map(Watched::read).collect()
}

/// Of what was found, or of why it was not.
fn fingerprint(found: &Result<Vec<Content>>) -> Fingerprint {
    let mut hash = Sha256::new();
    match found {
        Ok(contents) => {
            for content in contents {
                hash.update((content.bytes.len() as u64).to_le_bytes());
                hash.update(&content.bytes);
            }
        }
        Err(error) => hash.update(error.to_string()),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        text: Reload<String>,
    }

    /// Of two files, of which neither may say `bad`.
    fn case() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::write(path, "1").unwrap();
        }
        let files = paths.iter().map(|path| Watched::new("--file", path)).collect();
        let make = |files: &[Content]| {
            let wrong = files.iter().find(|file| file.bytes == b"bad");
            wrong.map_or(Ok(()), |file| Err(file.wrong("it is bad")))?;
            Ok(files.iter().map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect())
        };
        Case { text: Reload::open("the files", files, make).unwrap(), folder }
    }

    impl Case {
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        /// After so many looks.
        #[track_caller]
        fn check(&self, looks: usize, expected: &str) {
            (0..looks).for_each(|_| self.text.look());
            assert_eq!(*self.text.current(), expected);
        }
    }

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let case = case();
        case.check(2, "11");
        case.write("a", "2");
        case.check(1, "11");
        case.write("b", "2");
        case.check(1, "11");
        case.check(1, "22");
        // Bytes that moved from one file to the other are a change, too.
        case.write("a", "22");
        case.write("b", "");
        case.check(2, "22");
    }

    #[test]
    fn what_is_broken_changes_nothing_and_can_be_mended() {
        let case = case();
        case.write("a", "bad");
        case.check(3, "11");
        case.write("a", "2");
        case.check(2, "21");
        std::fs::remove_file(case.folder.path().join("b")).unwrap();
        case.check(3, "21");
        case.write("b", "3");
        case.check(2, "23");
    }

    #[test]
    fn a_link_that_turns_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("v1", "old"), ("v2", "new")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("token"), text).unwrap();
        }
        // As Kubernetes mounts a secret.
        std::os::unix::fs::symlink("v1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
        let make = |files: &[Content]| Ok(String::from_utf8_lossy(&files[0].bytes).into_owned());
        let text = Reload::open("the files", vec![Watched::new("--file", &at("token"))], make).unwrap();
        std::os::unix::fs::symlink("v2", at("..tmp")).unwrap();
        std::fs::rename(at("..tmp"), at("..data")).unwrap();
        (0..2).for_each(|_| text.look());
        assert_eq!(*text.current(), "new");
    }

    #[test]
    fn what_is_no_file_is_read_once() {
        let (ours, mut theirs) = std::io::pipe().unwrap();
        theirs.write_all(b"all of it").unwrap();
        drop(theirs);
        let path = PathBuf::from(format!("/proc/self/fd/{}", ours.as_raw_fd()));
        let make = |files: &[Content]| Ok(files[0].bytes.clone());
        let bytes = Reload::open("the files", vec![Watched::new("--file", &path)], make).unwrap();
        assert_eq!((&*bytes.current(), bytes.is_followed), (&b"all of it".to_vec(), false));
        assert!(case().text.is_followed);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path| Reload::open("the files", vec![Watched::new("--file", path)], |_| Ok(())).unwrap_err();
        let large = folder.path().join("large");
        std::fs::File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        for (path, expected) in [
            (folder.path().join("none"), "No such file"),
            (folder.path().to_owned(), "directory"),
            (large, "larger than 1048576 bytes"),
            (PathBuf::from("/dev/zero"), "larger than 1048576 bytes"),
        ] {
            let error = open(&path).to_string();
            assert!(error.starts_with(&format!("--file {}: ", path.display())) && error.contains(expected), "{error}");
        }
    }
}
