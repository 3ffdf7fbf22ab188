//! Record batches as messages of Arrow IPC. A dictionary is written when it is new or has changed.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

/// Writes the batches of one stream.
pub struct IpcWriter {
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl IpcWriter {
    /// A writer, and the schema's message.
    pub fn new(schema: &Schema) -> (Self, EncodedData) {
        let mut writer = Self {
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(false),
            options: IpcWriteOptions::default(),
            context: IpcWriteContext::default(),
        };
        let message =
            writer.generator.schema_to_bytes_with_dictionary_tracker(schema, &mut writer.dictionaries, &writer.options);
        (writer, message)
    }

    /// The dictionaries that the batch needs, and the batch itself.
    ///
    /// # Errors
    /// What Arrow IPC does not carry.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(Vec<EncodedData>, EncodedData), ArrowError> {
        self.generator.encode(batch, &mut self.dictionaries, &self.options, &mut self.context)
    }

    /// How it writes.
    pub const fn options(&self) -> &IpcWriteOptions {
        &self.options
    }
}
