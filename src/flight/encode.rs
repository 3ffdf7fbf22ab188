//! Record batches → Flight messages: one batch message for every batch, also of 0 rows, never split.
//!
//! arrow-flight's own encoder is not used: it sends nothing for an empty batch and may split a large one, and a client in
//! lockstep waits for exactly one answer a batch.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::FlightData;
use bytes::Bytes;

use crate::ipc_writer::IpcWriter;
use crate::{Error, Result};

/// Encodes the batches of one stream. A dictionary is sent when it is new or has changed.
pub struct Encoder(IpcWriter);

impl Encoder {
    /// An encoder, and the schema's message.
    pub fn new(schema: &Schema) -> (Self, FlightData) {
        let (writer, message) = IpcWriter::new(schema);
        (Self(writer), message.into())
    }

    /// The dictionaries that the batch needs, and the batch itself, which carries `app_metadata`.
    ///
    /// # Errors
    /// [`Error::Failed`] when the batch cannot be written as Arrow IPC.
    pub fn encode(&mut self, batch: &RecordBatch, app_metadata: Bytes) -> Result<Vec<FlightData>> {
        let written = self.0.write(batch);
        let (dictionaries, batch) = written.map_err(|e| Error::Failed(format!("cannot encode a record batch: {e}")))?;
        let batch = FlightData::from(batch).with_app_metadata(app_metadata);
        Ok(dictionaries.into_iter().map(FlightData::from).chain([batch]).collect())
    }
}
