//! The file that a page goes to.

use std::fmt::Display;
use std::path::Path;

use crate::bulk::whole_file::WholeFile;
use crate::{Error, Result};

/// A page that will be written. Dropped without [`PageFile::write`] it leaves nothing.
#[derive(Debug)]
pub struct PageFile(WholeFile);

impl PageFile {
    /// Makes sure that a page can be written there.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its name is not one of a page, which what must not be lost might have, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let is_page =
            path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("html") || kind.eq_ignore_ascii_case("htm"));
        if !is_page {
            let path = path.display();
            return Err(Error::Invalid(format!("--html {path}: must be a file whose name ends in .html")));
        }
        WholeFile::create("--html", path).map(Self)
    }

    /// Writes the page, over one that may be there.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn write(mut self, page: &impl Display) -> Result<()> {
        self.0.write(format_args!("{page}"))?;
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_page_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["in.parquet", ".", "report"] {
            let path = folder.path().join(name);
            let error = PageFile::create(&path).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)));
            let told = format!("--html {}: must be a file whose name ends in .html", path.display());
            assert_eq!(error.to_string(), told);
        }
        PageFile::create(&folder.path().join("report.HTML")).unwrap().write(&"page").unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("report.HTML")).unwrap(), "page");
    }
}
