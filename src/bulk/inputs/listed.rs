//! What is known of a file once its folder is listed.

use std::path::Path;

/// A file below a folder.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where it lies there.
    pub path: Box<Path>,
    /// In bytes, of an object.
    pub bytes: Option<u64>,
}
