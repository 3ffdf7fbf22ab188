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
    /// Scoring failed through no fault of the caller.
    #[error("{0}")]
    Failed(String),
    /// The device has no memory for this much at once: less may pass.
    #[error("{0}")]
    OutOfMemory(String),
    /// The engine is gone: shut down, or a model thread died. The text holds the cause.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    /// An [`Error::File`] for `path`.
    pub fn file(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), cause: cause.to_string() }
    }
}
