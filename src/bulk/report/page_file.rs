//! The file that a page goes to: whole or not at all.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What the file is called until it is whole.
const UNFINISHED: &str = ".part";

/// A page that will be written.
#[derive(Debug)]
pub struct PageFile {
    path: PathBuf,
    unfinished: PathBuf,
}

impl PageFile {
    /// Makes sure that a page can be written there, and leaves nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its name is not one of a page, which what must not be lost might have, or it cannot be written.
    pub fn new(path: &Path) -> Result<Self> {
        let refused = |cause: String| Error::Invalid(format!("--html {}: {cause}", path.display()));
        let is_page =
            path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("html") || kind.eq_ignore_ascii_case("htm"));
        if !is_page || path.is_dir() {
            return Err(refused("must be a file whose name ends in .html".to_owned()));
        }
        let mut unfinished = OsString::from(path);
        unfinished.push(UNFINISHED);
        let file = Self { path: path.to_owned(), unfinished: unfinished.into() };
        File::create(&file.unfinished).map_err(|cause| refused(cause.to_string()))?;
        file.remove();
        Ok(file)
    }

    /// Writes the page, over one that may be there.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn write(&self, page: &impl Display) -> Result<()> {
        let written = self.write_whole(page).and_then(|()| fs::rename(&self.unfinished, &self.path));
        written.map_err(|cause| {
            self.remove();
            Error::file(&self.path, cause)
        })
    }

    fn write_whole(&self, page: &impl Display) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(&self.unfinished)?);
        write!(out, "{page}")?;
        out.into_inner()?.sync_all()
    }

    fn remove(&self) {
        // What cannot be removed is harmless, and in nobody's way.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_page_is_there_whole_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.HTML");
        let file = PageFile::new(&path).unwrap();
        assert!(names(folder.path()).is_empty(), "only looked");
        file.write(&"first").unwrap();
        file.write(&"second").unwrap();
        assert_eq!(
            (names(folder.path()), fs::read_to_string(&path).unwrap()),
            (vec!["report.HTML".to_owned()], "second".to_owned())
        );

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.write(&"third").is_err(), "a folder took its name");
        assert_eq!(names(folder.path()), ["report.HTML"]);
    }

    #[test]
    fn what_is_no_page_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder.html")).unwrap();
        for (name, cause) in [
            ("in.parquet", "must be a file whose name ends in .html"),
            ("folder.html", "must be a file whose name ends in .html"),
            ("nowhere/a.html", "No such file or directory (os error 2)"),
        ] {
            let path = folder.path().join(name);
            let error = PageFile::new(&path).unwrap_err();
            assert_eq!(error.to_string(), format!("--html {}: {cause}", path.display()));
            assert!(matches!(error, Error::Invalid(_)));
        }
    }
}
