//! The one error of the crate, by what the caller can do about it.

use std::path::{Path, PathBuf};

/// `Result` with [`Error`] filled in.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The trailer of gRPC that says which kind of error it was, for clients who want more than the code, and for what counts errors.
pub const ERROR_KIND: &str = "x-textflight-error";

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
    /// What is named is not there, or not any more. The text says what is.
    #[error("{0}")]
    NotFound(String),
    /// What is named is not for this caller.
    #[error("{0}")]
    Denied(String),
    /// The caller has not shown who they are, or what they show was not given out here.
    #[error("{0}")]
    Unauthenticated(String),
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

/// Which variant an error is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorKind(&'static str);

impl ErrorKind {
    /// [`Error::Invalid`]
    pub const INVALID: Self = Self("invalid");
    /// [`Error::TooLarge`]
    pub const TOO_LARGE: Self = Self("too_large");
    /// [`Error::NotFound`]
    pub const NOT_FOUND: Self = Self("not_found");
    /// [`Error::Denied`]
    pub const DENIED: Self = Self("denied");
    /// [`Error::Unauthenticated`]
    pub const UNAUTHENTICATED: Self = Self("unauthenticated");
    /// [`Error::Busy`]
    pub const BUSY: Self = Self("busy");
    /// [`Error::Stalled`]
    pub const STALLED: Self = Self("stalled");
    /// [`Error::Checkpoint`]
    pub const CHECKPOINT: Self = Self("checkpoint");
    /// [`Error::File`]
    pub const FILE: Self = Self("file");
    /// [`Error::Unscorable`]
    pub const UNSCORABLE: Self = Self("unscorable");
    /// [`Error::NotText`]
    pub const NOT_TEXT: Self = Self("not_text");
    /// [`Error::Failed`]
    pub const FAILED: Self = Self("failed");
    /// [`Error::OutOfMemory`]
    pub const OUT_OF_MEMORY: Self = Self("out_of_memory");
    /// [`Error::Stopped`]
    pub const STOPPED: Self = Self("stopped");
    /// [`Error::Cancelled`]
    pub const CANCELLED: Self = Self("cancelled");

    const ALL: [Self; 15] = [
        Self::INVALID,
        Self::TOO_LARGE,
        Self::NOT_FOUND,
        Self::DENIED,
        Self::UNAUTHENTICATED,
        Self::BUSY,
        Self::STALLED,
        Self::CHECKPOINT,
        Self::FILE,
        Self::UNSCORABLE,
        Self::NOT_TEXT,
        Self::FAILED,
        Self::OUT_OF_MEMORY,
        Self::STOPPED,
        Self::CANCELLED,
    ];

    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.name() == name)
    }

    /// The name that metrics and clients know it by.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl Error {
    /// Which variant this is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::INVALID,
            Self::TooLarge(_) => ErrorKind::TOO_LARGE,
            Self::NotFound(_) => ErrorKind::NOT_FOUND,
            Self::Denied(_) => ErrorKind::DENIED,
            Self::Unauthenticated(_) => ErrorKind::UNAUTHENTICATED,
            Self::Busy(_) => ErrorKind::BUSY,
            Self::Stalled(_) => ErrorKind::STALLED,
            Self::Checkpoint(_) => ErrorKind::CHECKPOINT,
            Self::File { .. } => ErrorKind::FILE,
            Self::Unscorable { .. } => ErrorKind::UNSCORABLE,
            Self::NotText { .. } => ErrorKind::NOT_TEXT,
            Self::Failed(_) => ErrorKind::FAILED,
            Self::OutOfMemory(_) => ErrorKind::OUT_OF_MEMORY,
            Self::Stopped(_) => ErrorKind::STOPPED,
            Self::Cancelled(_) => ErrorKind::CANCELLED,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Who adds a variant and forgets its kind, or gives two the same, is told here.
    #[test]
    fn each_variant_has_a_kind_of_its_own() {
        let file: syn::File = syn::parse_str(include_str!("error.rs")).unwrap();
        let variants = file.items.iter().find_map(|item| match item {
            syn::Item::Enum(item) if item.ident == "Error" => Some(item.variants.len()),
            _ => None,
        });
        assert_eq!(variants, Some(ErrorKind::ALL.len()));
        for kind in ErrorKind::all() {
            assert_eq!(ErrorKind::named(kind.name()), Some(kind));
        }
        assert_eq!(ErrorKind::named("Invalid"), None);
    }
}
