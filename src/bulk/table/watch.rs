//! Whether a table has changed while it was read, and where its rows are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merged::Reached;
use crate::source::parquet::ParquetFile;
use crate::source::sequential::STANDARD;
use crate::source::{RangedFile, Source};
use crate::{Error, Result};

/// Tells whether a table has changed while it was read.
pub enum ChangeWatch {
    /// A Parquet file.
    Parquet(Arc<ParquetFile>),
    /// Another.
    File(PathBuf, RangedFile),
    /// Several: each is asked when it was read.
    Merged(Arc<Reached>),
    /// Standard input changes as it pleases.
    None,
}

impl ChangeWatch {
    pub(super) fn of(path: &Path, file: Option<RangedFile>) -> Self {
        file.map_or(Self::None, |file| Self::File(path.to_owned(), file))
    }

    /// What errors call the table.
    pub fn path(&self) -> &Path {
        match self {
            Self::Parquet(file) => file.path(),
            Self::File(path, _) => path,
            Self::Merged(reached) => reached.path(),
            Self::None => Path::new(STANDARD),
        }
    }

    /// Whether it has.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be asked any more.
    pub fn has_changed(&self) -> Result<bool> {
        match self {
            Self::Parquet(file) => file.has_changed(),
            Self::File(path, file) => file.has_changed().map_err(|cause| Error::file(path, cause)),
            Self::Merged(reached) => Ok(reached.has_changed()),
            Self::None => Ok(false),
        }
    }

    /// The file that has this row, and the row there.
    pub fn place(&self, row: usize) -> (PathBuf, usize) {
        match self {
            Self::Merged(reached) => reached.place(row),
            Self::Parquet(_) | Self::File(..) | Self::None => (self.path().to_owned(), row),
        }
    }
}
