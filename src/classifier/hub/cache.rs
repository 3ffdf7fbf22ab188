//! The cache's layout, which is `huggingface_hub`'s: both find what the other has fetched.
//!
//! A repository's folder holds `blobs` by their entity tags, `snapshots` of commits that link to them, `refs` from branches
//! and tags to commits, and in `.no_exist` the files that a commit is known to lack.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;
use tracing::info;

/// One repository's part of the cache.
pub struct Repository {
    folder: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl Repository {
    /// That of the model `id` in the cache's folder; `symlinks` is whether snapshots link to their blobs.
    pub fn new(cache: &Path, id: &str, symlinks: bool) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name), symlinks }
    }

    /// The commit that `revision` was when the hub was last asked; a commit is its own.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_name(commit))
    }

    /// Remembers which commit `revision` is. Writes nothing where that is known.
    pub fn remember(&self, revision: &str, commit: &str) -> io::Result<()> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        let written = temporary(parent, "ref")?;
        fs::write(written.path(), commit)?;
        written.persist(path).map(drop).map_err(|e| e.error)
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether the snapshot has the file, whole: a link to nothing is none.
    pub fn has(&self, commit: &str, file: &str) -> bool {
        self.snapshot(commit).join(file).is_file()
    }

    /// Whether it is known that the commit has no such file.
    pub fn is_known_to_lack(&self, commit: &str, file: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(file).is_file()
    }

    /// Remembers that the commit has no such file. A cache that cannot be written does without.
    pub fn mark_missing(&self, commit: &str, file: &str) {
        let path = self.folder.join(".no_exist").join(commit).join(file);
        if !path.is_file() {
            let _ = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(path).map(drop));
        }
    }

    /// Whether the bytes of that entity tag are there.
    pub fn has_blob(&self, etag: &str) -> bool {
        self.blob(etag).is_file()
    }

    /// Waits until no other process fetches the blob; true with the lock where one did.
    pub fn lock(&self, etag: &str) -> io::Result<(File, bool)> {
        fs::create_dir_all(&self.locks)?;
        let lock = File::create(self.locks.join(format!("{etag}.lock")))?;
        if lock.try_lock().is_ok() {
            return Ok((lock, false));
        }
        info!(blob = etag, "another process fetches this file: waiting for it");
        lock.lock()?;
        Ok((lock, true))
    }

    /// A file of its own for bytes to come. It is gone when it is dropped.
    pub fn incomplete(&self, etag: &str) -> io::Result<NamedTempFile> {
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        temporary(&blobs, etag)
    }

    /// Makes a file that is whole the blob of `etag`.
    pub fn keep(&self, whole: NamedTempFile, etag: &str) -> io::Result<()> {
        whole.as_file().sync_all()?;
        whole.persist(self.blob(etag)).map(drop).map_err(|e| e.error)
    }

    /// Shows the blob as a file of the commit.
    pub fn link(&self, etag: &str, commit: &str, file: &str) -> io::Result<()> {
        let (blob, pointer) = (self.blob(etag), self.snapshot(commit).join(file));
        let parent = pointer.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        let linked = if self.symlinks { symlink(&relative_blob(etag, file), &pointer) } else { Err(unlinked()) };
        match linked {
            Err(_) if self.has(commit, file) => Ok(()),
            // No links here: the snapshot gets the bytes.
            Err(_) => {
                let copy = temporary(parent, "copy")?;
                fs::copy(&blob, copy.path())?;
                copy.persist(&pointer).map(drop).map_err(|e| e.error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }
}

/// Whether it is a commit, and no branch or tag.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether it can be the name of a file: what the hub says becomes a path.
pub fn is_name(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == text)
}

/// From a snapshot's file to its blob, so that a cache can be moved.
fn relative_blob(etag: &str, file: &str) -> PathBuf {
    let up = Path::new(file).components().count() + 1;
    std::iter::repeat_n("..", up).collect::<PathBuf>().join("blobs").join(etag)
}

fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    // A link to a blob that is gone is in the way.
    if link.is_symlink() && !link.exists() {
        fs::remove_file(link)?;
    }
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(not(unix))]
    Err(unlinked())
}

fn unlinked() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// A file that others may read as the process's mask allows, unlike most temporary ones.
fn temporary(folder: &Path, name: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("{name}.");
    builder.prefix(&prefix).suffix(".incomplete");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository(symlinks: bool) -> (tempfile::TempDir, Repository) {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), "owner/name", symlinks);
        (cache, repository)
    }

    fn keep(repository: &Repository, etag: &str, text: &str) {
        let mut file = repository.incomplete(etag).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        repository.keep(file, etag).unwrap();
    }

    #[test]
    fn a_snapshot_links_to_its_blobs() {
        let (cache, repository) = repository(true);
        keep(&repository, "tag", "text");
        for file in ["config.json", "deep/er/file"] {
            assert!(!repository.has(COMMIT, file));
            repository.link("tag", COMMIT, file).unwrap();
            repository.link("tag", COMMIT, file).unwrap();
            assert!(repository.has(COMMIT, file));
        }
        let folder = cache.path().join("models--owner--name");
        let link = fs::read_link(folder.join("snapshots").join(COMMIT).join("config.json")).unwrap();
        assert_eq!(link, Path::new("../../blobs/tag"));
        assert_eq!(fs::read_to_string(repository.snapshot(COMMIT).join("deep/er/file")).unwrap(), "text");
        assert_eq!(fs::read_dir(folder.join("blobs")).unwrap().count(), 1);
    }

    #[test]
    fn a_link_to_nothing_is_no_file_and_not_in_the_way() {
        let (_cache, repository) = repository(true);
        keep(&repository, "tag", "text");
        repository.link("tag", COMMIT, "file").unwrap();
        fs::remove_file(repository.blob("tag")).unwrap();
        assert!(!repository.has(COMMIT, "file"));
        keep(&repository, "other", "text");
        repository.link("other", COMMIT, "file").unwrap();
        assert!(repository.has(COMMIT, "file"));
    }

    #[test]
    fn without_links_a_snapshot_holds_copies() {
        let (_cache, repository) = repository(false);
        keep(&repository, "tag", "text");
        repository.link("tag", COMMIT, "file").unwrap();
        let path = repository.snapshot(COMMIT).join("file");
        assert!(!path.is_symlink());
        assert_eq!(fs::read_to_string(path).unwrap(), "text");
    }

    #[test]
    fn what_is_dropped_leaves_nothing() {
        let (cache, repository) = repository(true);
        drop(repository.incomplete("tag").unwrap());
        assert!(!repository.has_blob("tag"));
        assert_eq!(fs::read_dir(cache.path().join("models--owner--name/blobs")).unwrap().count(), 0);
    }

    #[test]
    fn revisions_are_remembered() {
        let (cache, repository) = repository(true);
        assert_eq!(repository.commit("main"), None);
        for revision in ["main", "refs/pr/1"] {
            repository.remember(revision, COMMIT).unwrap();
            assert_eq!(repository.commit(revision).as_deref(), Some(COMMIT));
        }
        repository.remember(COMMIT, COMMIT).unwrap();
        let refs = cache.path().join("models--owner--name/refs");
        assert_eq!(fs::read_to_string(refs.join("refs/pr/1")).unwrap(), COMMIT);
        assert_eq!(fs::read_dir(refs).unwrap().count(), 2, "a commit needs no reference");
        assert_eq!(repository.commit(COMMIT).as_deref(), Some(COMMIT));
        fs::write(cache.path().join("models--owner--name/refs/bad"), "../..").unwrap();
        assert_eq!(repository.commit("bad"), None);
    }

    #[test]
    fn what_a_commit_lacks_is_remembered() {
        let (_cache, repository) = repository(true);
        assert!(!repository.is_known_to_lack(COMMIT, "file"));
        repository.mark_missing(COMMIT, "file");
        assert!(repository.is_known_to_lack(COMMIT, "file"));
    }

    #[test]
    fn a_second_one_waits_for_the_lock() {
        let (_cache, repository) = repository(true);
        let (lock, waited) = repository.lock("tag").unwrap();
        assert!(!waited);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| repository.lock("tag").unwrap().1);
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!second.is_finished());
            drop(lock);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn names_of_files_and_commits() {
        assert!(
            is_name("a.b-c") && !is_name("") && !is_name("..") && !is_name("a/b") && !is_name("/a") && !is_name("a/")
        );
        assert!(
            is_commit(COMMIT) && !is_commit("main") && !is_commit(&COMMIT.to_uppercase()) && !is_commit(&COMMIT[1..])
        );
    }
}
