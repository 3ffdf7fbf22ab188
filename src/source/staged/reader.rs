//! What was staged, read back message by message.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::Block;
use arrow::ipc::reader::FileDecoder;

use super::log::Log;
use super::{Entry, Used, What};
use crate::source::ahead::Give;
use crate::{Error, Result};

/// Reads messages back.
pub struct StagedReader {
    pub decoder: FileDecoder,
    pub schema: Result<SchemaRef>,
    pub log: Arc<Log>,
    pub entries: Arc<[Entry]>,
    pub used: Used,
    /// Which entries, in their order.
    pub messages: Vec<usize>,
}

impl StagedReader {
    /// Gives the batches, of at most so many rows.
    ///
    /// # Errors
    /// [`Error::Failed`] when what was written cannot be read, and those of the spool.
    pub fn read(mut self, batch_rows: usize, give: &mut Give<'_>) -> Result<()> {
        let schema = self.schema.clone()?;
        for index in std::mem::take(&mut self.messages) {
            let Some(batch) = self.message(index)? else { continue };
            // The numbers of dictionaries are our own.
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
                .map_err(|cause| unread(&cause))?;
            for from in (0..batch.num_rows()).step_by(batch_rows) {
                // How fast it is read is up to the reader.
                self.used.touch();
                if !give(batch.slice(from, batch_rows.min(batch.num_rows() - from))) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The batch of a message, unless it is a dictionary.
    fn message(&mut self, index: usize) -> Result<Option<RecordBatch>> {
        let Entry { at, header, body, what } = self.entries[index];
        let bytes = self.log.read(at, u64::from(header) + body)?;
        let block = Block::new(0, header as i32, body as i64);
        match what {
            What::Dictionary(_) => self.decoder.read_dictionary(&block, &bytes).map(|()| None),
            What::Batch(_) => self.decoder.read_record_batch(&block, &bytes),
        }
        .map_err(|cause| unread(&cause))
    }
}

/// What is wrong with a table that was written by ourselves.
pub fn unread(cause: &ArrowError) -> Error {
    Error::Failed(format!("an uploaded table cannot be read: {cause}"))
}
