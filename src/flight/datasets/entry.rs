//! One file of a data set: where it is, and which version of it.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::source::{Fingerprint, Source};

/// What tells one state of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its path below the folder; empty where the data set is one table.
    #[serde(rename = "p")]
    pub path: String,
    /// In bytes.
    #[serde(rename = "l")]
    len: u64,
    /// When it was last written, in nanoseconds since 1970; none where the system does not say.
    #[serde(rename = "m")]
    modified: Option<i128>,
    /// Of tables that were handed over, which one.
    #[serde(rename = "n")]
    number: u64,
}

impl Version {
    /// That of a file which was found so.
    pub fn of(path: &str, found: &Fingerprint, number: u64) -> Self {
        let nanoseconds = found.modified.map(|time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        });
        Self { path: path.to_owned(), len: found.len, modified: nanoseconds, number }
    }

    /// What clients may read of it in an error.
    pub fn named(&self) -> String {
        if self.path.is_empty() { "its file".to_owned() } else { format!("{:?}", self.path) }
    }
}

/// An open file of a data set.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Which it is.
    pub version: Version,
    /// Its rows.
    pub table: Arc<dyn Source>,
}
