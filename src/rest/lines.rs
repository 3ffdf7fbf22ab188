//! CSV and JSON lines: scored as they come, with the answer on its way while the body is.

use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::response::Response;
use futures::{Stream, TryStreamExt};

use super::Job;
use super::answer::{Made, StreamedAnswer};
use super::media::Media;
use super::upload::TableBody;
use crate::Result;
use crate::memory::Reservation;
use crate::sink::lines::{LineEncoder, spans};
use crate::source::line_decoder;
use crate::source::lines::{Block, LONGEST_RECORD, LineDecoder, Lines};
use crate::stream::{Incoming, LinePlan, Scored, score_batches};
use crate::table::ScoreOptions;

/// What is reserved for a request, and what of it may be in the engine, in bytes.
pub const MEMORY: usize = 10 << 20;
pub const IN_ENGINE: usize = 4 << 20;

/// Up to here a record that has not come whole is no more than was reserved, in bytes.
const USUAL_RECORD: usize = 256 << 10;

/// How often a record lies in memory: as it came, as text, and as it goes.
const COPIES: usize = 4;

/// A table that is on its way in.
pub struct Table {
    upload: TableBody,
    decoder: Box<dyn LineDecoder>,
    memory: Reservation,
    is_ended: bool,
}

/// Scores the table.
///
/// # Errors
/// What is wrong with the beginning of the table or with the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let memory = options.memory.try_reserve(MEMORY)?;
    let held = (place, memory.clone());
    let mut table = Table::new(upload, decoder(media, &columns), memory);
    let answer = StreamedAnswer { media, is_whole, spool: options.spool.clone(), time, book: book.clone() };
    let Some(schema) = table.schema().await? else {
        let rest = table.rest()?;
        return answer.of(held, async |made| made.pass(rest.into()).await).await;
    };
    let LinePlan { plan, encoder, taken } = LinePlan::new(media.format(), &schema, &columns, &engine.model().labels)?;
    // Goes with the first records, so that what is wrong with those is said before anything.
    let names = encoder.names(table.begin(&plan.inputs(), &taken)?);
    let in_flight = options.in_flight.within(IN_ENGINE);
    let scored = book.follow(score_batches(engine, Arc::new(plan.of_inputs()), in_flight, table.blocks()));
    answer.of(held, |made| write(scored, encoder, names, made)).await
}

/// Writes the records with their new columns, behind the `names`.
async fn write(
    scored: impl Stream<Item = Result<Scored<Lines>>> + Send,
    encoder: Box<dyn LineEncoder>,
    names: Vec<u8>,
    made: Made,
) -> Result<()> {
    let (mut scored, mut piece) = (pin!(scored), names);
    while let Some(Scored { columns, rest: lines, .. }) = scored.try_next().await? {
        for rows in spans(lines.ends.len(), encoder.added_bytes()) {
            piece.extend(encoder.encode(&lines, rows, &columns)?);
            made.pass(std::mem::take(&mut piece).into()).await?;
        }
    }
    made.pass(piece.into()).await
}

/// What reads the records of such a table.
pub fn decoder(media: Media, options: &ScoreOptions) -> Box<dyn LineDecoder> {
    line_decoder(media.format(), options.named_texts(), LONGEST_RECORD)
}

impl Table {
    /// One that begins. `memory` is what was reserved for it.
    pub fn new(upload: TableBody, decoder: Box<dyn LineDecoder>, memory: Reservation) -> Self {
        Self { upload, decoder, memory, is_ended: false }
    }

    /// Reads as far as the columns are known; none where there are no records.
    ///
    /// # Errors
    /// What is wrong with its beginning.
    pub async fn schema(&mut self) -> Result<Option<SchemaRef>> {
        while self.decoder.schema().is_none() && !self.is_ended {
            self.read().await?;
        }
        Ok(self.decoder.schema())
    }

    /// Takes in what comes next.
    async fn read(&mut self) -> Result<()> {
        match self.upload.next().await? {
            Some(bytes) => self.decoder.push(&bytes)?,
            None => {
                self.is_ended = true;
                self.decoder.end()?;
            }
        }
        let unusual = self.decoder.waiting().saturating_sub(USUAL_RECORD);
        self.memory.extend_to(MEMORY + COPIES * unusual)
    }

    /// Reads on, as [`LineDecoder::begin`] has it.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn begin(&mut self, texts: &[usize], taken: &[String]) -> Result<Lines> {
        self.decoder.begin(texts, taken)
    }

    /// The records with their texts.
    pub fn blocks(self) -> impl Stream<Item = Result<Incoming<RecordBatch, Lines>>> + Send + 'static {
        futures::stream::try_unfold(self, async |mut table| {
            loop {
                if let Some(block) = table.decoder.take()? {
                    let bytes = block.bytes();
                    let Block { lines, texts } = block;
                    return Ok(Some((Incoming { rows: texts, bytes, rest: lines }, table)));
                }
                if table.is_ended {
                    return Ok(None);
                }
                table.read().await?;
            }
        })
    }

    /// What came, where no record did.
    fn rest(&mut self) -> Result<Vec<u8>> {
        Ok(self.decoder.take()?.map(|block| block.lines.bytes).unwrap_or_default())
    }
}
