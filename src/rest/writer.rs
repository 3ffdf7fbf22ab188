//! Scored batches in the type of the answer, written piece by piece however long they become as text.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::TableLimits;
use super::answer::Made;
use super::media::Media;
use crate::memory::Reservation;
use crate::sink::batches::{ArrowEncoder, BatchEncoder};
use crate::sink::text_size::text_slices;
use crate::sink::texts::{CsvRows, JsonRows};
use crate::{Error, Result};

/// Text that is made at once, in bytes, and what is reserved for it: a buffer that grows is twice as large at most.
const SLICE_BYTES: usize = 1 << 20;
const COPIES: usize = 2;

/// What writes tables in that format.
///
/// # Errors
/// [`Error::Invalid`] for columns that it does not carry.
pub fn encoder(media: Media, schema: &Schema) -> Result<Box<dyn BatchEncoder>> {
    Ok(match (media, media.delimiter()) {
        (_, Some(delimiter)) => Box::new(CsvRows::new(schema, delimiter)?),
        (Media::JsonLines, _) => Box::new(JsonRows::new(schema)?),
        (Media::Arrow, _) => Box::new(ArrowEncoder::new(schema)?),
        (Media::Parquet | Media::Csv | Media::Tsv, None) => {
            return Err(Error::Failed(format!("no table is written as {} here", media.name())));
        }
    })
}

/// Writes the record batches of an answer.
pub struct BatchWriter {
    encoder: Box<dyn BatchEncoder>,
    /// For text.
    memory: Option<Reservation>,
    /// The longest text of a row, in bytes.
    longest_row: usize,
    rows_before: usize,
}

impl BatchWriter {
    /// Writes such columns in that format.
    ///
    /// # Errors
    /// Those of [`encoder`], and of [`Memory::try_reserve`](crate::memory::Memory::try_reserve).
    pub fn new(media: Media, schema: &Schema, limits: &TableLimits) -> Result<Self> {
        let encoder = encoder(media, schema)?;
        let is_text = media != Media::Arrow;
        let memory = is_text.then(|| limits.memory.try_reserve(COPIES * SLICE_BYTES)).transpose()?;
        Ok(Self { encoder, memory, longest_row: limits.message_bytes, rows_before: 0 })
    }

    /// Writes the next rows.
    ///
    /// # Errors
    /// Those of the encoder, [`Error::TooLarge`] for a row that becomes too long, and [`Error::Busy`] where there is no memory for it.
    pub async fn write(&mut self, batch: RecordBatch, made: &Made) -> Result<()> {
        let Some(memory) = &self.memory else {
            let written = self.encoder.encode(&batch)?;
            drop(batch);
            return made.send(written).await;
        };
        let rows = batch.num_rows();
        for slice in text_slices(batch, SLICE_BYTES, self.longest_row, self.rows_before) {
            let slice = slice?;
            memory.extend_to(slice.bytes.saturating_mul(COPIES))?;
            made.send(self.encoder.encode(&slice.batch)?).await?;
        }
        self.rows_before += rows;
        Ok(())
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// Those of the encoder.
    pub async fn end(self, made: &Made) -> Result<()> {
        made.send(self.encoder.finish()?).await
    }
}
