//! The Parquet files of a folder, and of the folders in it.

use std::fs::{self, DirEntry};
use std::path::Path;

use tracing::warn;

use crate::paths::{resolve_below, unreadable};
use crate::{Error, Result};

/// Files of one data set.
const FILES: usize = 10_000;

/// Folders within one another.
const DEPTH: usize = 32;

/// The endings of Parquet files, in small letters.
const ENDINGS: [&str; 3] = ["parquet", "parq", "pq"];

/// The paths of the files below `root`, or of those at `below`, with `/` between, in their order. What begins with `.` or `_` is left out: so do those write who have not
/// finished. Links to folders are not followed, nor are links that lead out of the root.
///
/// # Errors
/// Those of [`resolve_below`], and [`Error::NotFound`] where there is no file.
pub fn entries(root: &Path, below: Option<&str>) -> Result<Vec<String>> {
    let mut walk = Walk { root, files: Vec::new() };
    match below {
        None => walk.folder(root, "", 0)?,
        Some(path) => walk.named(path)?,
    }
    let Walk { mut files, .. } = walk;
    if files.is_empty() {
        let place = below.map_or_else(String::new, |path| format!(" at {path:?}"));
        return Err(Error::NotFound(format!("there is no Parquet file{place} (yet): files end in .parquet")));
    }
    files.sort();
    Ok(files)
}

struct Walk<'a> {
    root: &'a Path,
    files: Vec<String>,
}

impl Walk<'_> {
    /// A file or folder that a client named.
    fn named(&mut self, path: &str) -> Result<()> {
        let found = resolve_below(self.root, path)?;
        // One name for one file, however a client writes it.
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let path = parts.join("/");
        if found.is_dir() {
            return self.folder(&found, &path, 0);
        }
        self.files.push(path);
        Ok(())
    }

    fn folder(&mut self, folder: &Path, path: &str, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::Invalid(format!("{path:?} lies deeper than {DEPTH} folders")));
        }
        let failed = |cause| unreadable(path, &cause);
        for entry in fs::read_dir(folder).map_err(failed)? {
            self.entry(&entry.map_err(failed)?, path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, folder: &str, depth: usize) -> Result<()> {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_") {
            return Ok(());
        }
        let name = name.into_string().map_err(|name| {
            Error::Invalid(format!("{folder:?} has the name {}, which is not UTF-8", name.display()))
        })?;
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(|cause| unreadable(&path, &cause))?;
        if kind.is_dir() {
            return self.folder(&entry.path(), &path, depth + 1);
        }
        if has_ending(&path) && (kind.is_file() || kind.is_symlink() && self.is_link_inside(&path)) {
            self.file(path)?;
        }
        Ok(())
    }

    fn file(&mut self, path: String) -> Result<()> {
        if self.files.len() == FILES {
            return Err(Error::TooLarge(format!("there are more than {FILES} files: ask for a folder below")));
        }
        self.files.push(path);
        Ok(())
    }

    fn is_link_inside(&self, path: &str) -> bool {
        let found = resolve_below(self.root, path);
        if let Err(error) = &found {
            warn!(root = %self.root.display(), %error, "a link in a data set is left out");
        }
        found.is_ok_and(|target| target.is_file())
    }
}

fn has_ending(path: &str) -> bool {
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
