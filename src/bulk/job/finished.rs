//! Whether an output is there that the same job has made.

use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::{Marks, last_marks};
use crate::store::{FileLocation, Stores};

/// Whether the newest columns of this file say that they were made like this. Whatever else is there, or cannot be read, is
/// not finished. Blocks.
pub fn is_finished(output: &FileLocation, stores: &Stores, marks: &Marks) -> bool {
    let Ok(file) = ParquetFile::open_at(output, stores) else { return false };
    last_marks(file.footer()).is_ok_and(|groups| !groups.is_empty() && groups.iter().all(|found| found == marks))
}
