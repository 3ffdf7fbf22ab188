//! The one error of the crate, by what the caller can do about it.

use std::path::{Path, PathBuf};

/// `Result` with [`Error`] filled in.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, sorted by who can mend it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong. The text names the value and what would be right.
    #[error("{0}")]
    Invalid(String),
    /// The request is larger than a limit that the text names.
    #[error("{0}")]
    TooLarge(String),
    /// No room right now: the same request may pass later.
    #[error("{0}")]
    Busy(String),
    /// The caller did not read or write in time.
    #[error("{0}")]
    Stalled(String),
    /// The checkpoint cannot be served. The text names the file and what to do.
    #[error("{0}")]
    Checkpoint(String),
    /// A file cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file in question.
        path: PathBuf,
        /// What the system, or the file's format, had to say.
        cause: String,
    },
    /// One row has no score, and the others would have theirs without it.
    #[error("row {row} (counted from 0) cannot be scored: {cause}")]
    Unscorable {
        /// The first such row of what the caller sent, counted from 0.
        row: usize,
        /// Why it has none.
        cause: String,
    },
    /// One row of what should be texts is none.
    #[error("row {row} (counted from 0) is not text: {cause}")]
    NotText {
        /// The first such row of what the caller sent, counted from 0.
        row: usize,
        /// What is wrong with it, and with which column.
        cause: String,
    },
    /// Scoring failed through no fault of the caller.
    #[error("{0}")]
    Failed(String),
    /// The device has no memory for this much at once: less may pass.
    #[error("{0}")]
    OutOfMemory(String),
    /// The engine is gone: a model thread died, or its device is lost. The text holds the cause.
    #[error("{0}")]
    Stopped(String),
    /// Nobody wants the result any more: a client is gone, a person interrupted. The text says who gave up what.
    #[error("{0}")]
    Cancelled(String),
}

impl Error {
    /// An [`Error::File`] for `path`.
    pub fn file(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), cause: cause.to_string() }
    }

    /// The same about a part of a table that so many rows stand before.
    #[must_use]
    pub fn after_rows(self, before: usize) -> Self {
        match self {
            Self::Unscorable { row, cause } => Self::Unscorable { row: before + row, cause },
            Self::NotText { row, cause } => Self::NotText { row: before + row, cause },
            other => other,
        }
    }
}
