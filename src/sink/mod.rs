//! Where scored tables go to.
//!
//! | module | owns |
//! |---|---|
//! | `file`, `object` | a local file, an object of a store: complete under its name, or absent |
//! | [`batches`] | whole record batches, written as they come |
//! | [`lines`], `cells`, `elements` | lines of text, each with more cells than it came with |
//! | [`chosen`] | the same, with chosen cells alone |
//! | [`texts`] | tables written whole as CSV or JSON lines |
//! | [`encoders`] | which of those a format takes |
//! | [`row_groups`] | tables written whole as Parquet |
//! | [`row_steps`] | their rows in steps, however they come |
//! | [`text_size`] | how long those become |
//! | [`parquet`] | a Parquet file plus columns, no byte of it moved |

pub mod batches;
mod cells;
pub mod chosen;
mod elements;
pub mod encoders;
mod file;
pub mod lines;
mod object;
pub mod parquet;
pub mod row_groups;
pub mod row_steps;
pub mod text_size;
pub mod texts;

use std::fs::File;
use std::io::{Stdout, Write};

use arrow::array::ArrayRef;

pub use self::file::{FileTarget, WORK, check_output, check_pair, is_same_file, sync_folder_of};
pub use self::object::ObjectTarget;
use crate::Result;
use crate::store::UploadWriter;

/// Takes the new columns of a table, in the order of its rows.
pub trait Sink: Send {
    /// Writes the next rows of the new columns. Blocks.
    ///
    /// # Errors
    /// [`crate::Error::File`] if they cannot be written, [`crate::Error::Failed`] if there are more than the table has.
    fn write(&mut self, columns: &[ArrayRef]) -> Result<()>;

    /// Ends the output, and sees it through to where it stays. It has its name only once its target is committed. Blocks.
    ///
    /// # Errors
    /// [`crate::Error::File`] if it cannot be written, [`crate::Error::Failed`] if rows are missing.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Takes the bytes of an output, from the first to the last: nobody looks back.
pub trait Destination: Write + Send {
    /// Sees what was written through to where it stays.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self) -> std::io::Result<()>;
}

impl Destination for UploadWriter {
    fn sync(&mut self) -> std::io::Result<()> {
        self.finish()
    }
}

impl Destination for Box<dyn Destination> {
    fn sync(&mut self) -> std::io::Result<()> {
        self.as_mut().sync()
    }
}

impl Destination for Stdout {
    fn sync(&mut self) -> std::io::Result<()> {
        self.flush()
    }
}

impl Destination for File {
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_all()
    }
}
