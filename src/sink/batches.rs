//! Tables that are written whole, batch by batch, as they come.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamEncoder;

use crate::{Error, Result};

/// Writes the record batches of one table.
pub trait BatchEncoder: Send {
    /// The next rows, and before the first of them what a table begins with.
    ///
    /// # Errors
    /// [`Error::Failed`] for rows that cannot be written.
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>>;

    /// What a table ends with, and begins with if it has no rows.
    ///
    /// # Errors
    /// As [`BatchEncoder::encode`].
    fn finish(self: Box<Self>) -> Result<Vec<Buffer>>;
}

/// Writes a stream of Arrow IPC. Without the mark at its end it is known to be incomplete. A dictionary is written when it is new or
/// has changed.
pub struct ArrowEncoder(StreamEncoder);

impl ArrowEncoder {
    /// One of a table with these columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for columns that Arrow IPC does not carry.
    pub fn new(schema: &Schema) -> Result<Self> {
        let encoder = StreamEncoder::try_new(schema);
        encoder.map(Self).map_err(|cause| Error::Invalid(format!("no Arrow stream has such columns: {cause}")))
    }
}

impl BatchEncoder for ArrowEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        self.0.encode(batch).map_err(|cause| unwritten(&cause))
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        self.0.finish().map_err(|cause| unwritten(&cause))
    }
}

fn unwritten(cause: &ArrowError) -> Error {
    Error::Failed(format!("a record batch cannot be written: {cause}"))
}
