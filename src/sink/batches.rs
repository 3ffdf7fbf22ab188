//! Tables that are written whole, batch by batch, as they come.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamEncoder};

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

/// Writes a file of Arrow IPC. Dictionaries are written as what they stand for: such a file has one of each, and which that is
/// nobody knows before the end.
pub struct ArrowFileEncoder {
    writer: FileWriter<Vec<u8>>,
    /// As it is written.
    schema: SchemaRef,
}

impl ArrowFileEncoder {
    /// One of a table with these columns.
    ///
    /// # Errors
    /// As [`ArrowEncoder::new`].
    pub fn new(schema: &Schema) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Dictionary(_, values) => Arc::new(Field::clone(field).with_data_type(values.as_ref().clone())),
            _ => Arc::clone(field),
        });
        let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()));
        let writer = FileWriter::try_new(Vec::new(), &schema);
        let refused = |cause| Error::Invalid(format!("no Arrow file has such columns: {cause}"));
        Ok(Self { writer: writer.map_err(refused)?, schema })
    }
}

impl BatchEncoder for ArrowFileEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let columns =
            batch.columns().iter().zip(self.schema.fields()).map(|(column, field)| match column.data_type() {
                DataType::Dictionary(..) => cast(column, field.data_type()),
                _ => Ok(Arc::clone(column)),
            });
        let written = columns.collect::<Result<Vec<_>, _>>().and_then(|columns| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
            self.writer.write(&batch)
        });
        written.map_err(|cause| unwritten(&cause))?;
        // The writer counts what it has passed on by itself.
        Ok(vec![std::mem::take(self.writer.get_mut()).into()])
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Buffer>> {
        self.writer.finish().map_err(|cause| unwritten(&cause))?;
        Ok(vec![std::mem::take(self.writer.get_mut()).into()])
    }
}

fn unwritten(cause: &ArrowError) -> Error {
    Error::Failed(format!("a record batch cannot be written: {cause}"))
}
