//! Scored batches in the type of the answer, written piece by piece however long they become as text.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::TableLimits;
use super::answer::Made;
use super::media::Media;
use crate::memory::Reservation;
use crate::sink::batches::{ArrowEncoder, BatchEncoder};
use crate::sink::text_size::text_slices;
use crate::sink::texts::{CsvRows, JsonRows};
use crate::source::with_strings;
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
    texts: Option<Texts>,
}

/// What writing text takes.
struct Texts {
    /// With strings where scoring has bytes. A stream of Arrow has such bytes back as they came, also those that are no strings.
    schema: SchemaRef,
    memory: Reservation,
    /// The longest text of a row, in bytes.
    longest_row: usize,
    rows_before: usize,
}

impl BatchWriter {
    /// Writes such columns in that format.
    ///
    /// # Errors
    /// Those of [`encoder`], and of [`Memory::try_reserve`](crate::memory::Memory::try_reserve).
    pub fn new(media: Media, schema: SchemaRef, limits: &TableLimits) -> Result<Self> {
        let encoder = encoder(media, &schema)?;
        let texts = || -> Result<Texts> {
            let memory = limits.memory.try_reserve(COPIES * SLICE_BYTES)?;
            Ok(Texts { schema, memory, longest_row: limits.message_bytes, rows_before: 0 })
        };
        let texts = (media != Media::Arrow).then(texts).transpose()?;
        Ok(Self { encoder, texts })
    }

    /// Writes the next rows, of which strings may be bytes.
    ///
    /// # Errors
    /// Those of the encoder and of [`with_strings`], [`Error::TooLarge`] for a row that becomes too long, and [`Error::Busy`] where there is no memory for it.
    pub async fn write(&mut self, batch: RecordBatch, made: &Made) -> Result<()> {
        let Some(texts) = &mut self.texts else {
            let written = self.encoder.encode(&batch)?;
            drop(batch);
            return made.send(written).await;
        };
        let batch = with_strings(&batch, Arc::clone(&texts.schema))?;
        let rows_before = texts.rows_before;
        texts.rows_before += batch.num_rows();
        for slice in text_slices(batch, SLICE_BYTES, texts.longest_row, rows_before) {
            let slice = slice?;
            texts.memory.extend_to(slice.bytes.saturating_mul(COPIES))?;
            made.send(self.encoder.encode(&slice.batch)?).await?;
        }
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
