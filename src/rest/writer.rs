//! Scored batches in the type of the answer, written piece by piece however long they become as text.

use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, TryStreamExt};

use super::TableLimits;
use super::answer::Made;
use super::media::Media;
use crate::Result;
use crate::memory::Reservation;
use crate::sink::batches::BatchEncoder;
use crate::sink::encoders::batch_encoder;
use crate::sink::text_size::{names_bytes, text_slices};
use crate::source::with_strings;

/// Text that is made at once, in bytes, and what is reserved for it: a buffer that grows is twice as large at most.
const SLICE_BYTES: usize = 1 << 20;
const COPIES: usize = 2;

/// Writes the record batches of an answer.
pub struct BatchWriter {
    encoder: Box<dyn BatchEncoder>,
    texts: Option<Texts>,
}

/// What writing text takes, and Parquet, in which nothing stands for many texts either.
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
    /// Those of [`batch_encoder`].
    pub fn new(media: Media, schema: SchemaRef, limits: &TableLimits) -> Result<Self> {
        let texts = || -> Result<Texts> {
            // Text holds what is written for the names from the first row to the last; Parquet has its own for its columns.
            let names = if media == Media::Parquet { 0 } else { names_bytes(&schema) };
            let bytes = SLICE_BYTES.saturating_add(names);
            let memory = limits.memory.try_reserve(bytes.saturating_mul(COPIES))?;
            Ok(Texts { schema: Arc::clone(&schema), memory, longest_row: limits.message_bytes, rows_before: 0 })
        };
        let texts = (media != Media::Arrow).then(texts).transpose()?;
        Ok(Self { encoder: batch_encoder(media.format(), &schema, &limits.memory)?, texts })
    }

    /// Writes all batches, each with what it holds until it is written, and ends the answer.
    ///
    /// # Errors
    /// Those of the batches, of [`BatchWriter::write`] and of [`BatchWriter::end`].
    pub async fn write_all<H>(
        mut self,
        batches: impl Stream<Item = Result<(RecordBatch, H)>>,
        made: &Made,
    ) -> Result<()> {
        let mut batches = pin!(batches);
        while let Some((batch, held)) = batches.try_next().await? {
            self.write(batch, made).await?;
            drop(held);
        }
        self.end(made).await
    }

    /// Writes the next rows, of which strings may be bytes.
    ///
    /// # Errors
    /// Those of the encoder and of [`with_strings`], [`crate::Error::TooLarge`] for a row that becomes too long, and [`crate::Error::Busy`] where there is no memory for it.
    pub async fn write(&mut self, batch: RecordBatch, made: &Made) -> Result<()> {
        let Some(texts) = &mut self.texts else {
            let written = self.encoder.encode(&batch)?;
            drop(batch);
            return made.send(written).await;
        };
        let rows_before = texts.rows_before;
        let strings = with_strings(&batch, Arc::clone(&texts.schema));
        let batch = strings.map_err(|error| error.after_rows(rows_before))?;
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
