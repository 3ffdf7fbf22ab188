//! CSV and JSON lines: scored as they come, with the answer on its way while the body is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, Stream, TryStreamExt};
use tokio::sync::mpsc;

use super::Job;
use super::media::Media;
use super::outgoing::{Outgoing, left};
use super::relay::Relay;
use super::upload::TableBody;
use crate::Result;
use crate::engine::Engine;
use crate::memory::Reservation;
use crate::sink::chosen::{ChosenCells, ChosenKeys};
use crate::sink::lines::{CsvEncoder, JsonEncoder, LineEncoder};
use crate::source::csv::CsvDecoder;
use crate::source::json::JsonDecoder;
use crate::source::lines::{Block, LineDecoder, Lines};
use crate::stream::{InFlight, Incoming, Scored, score_batches};
use crate::table::{Columns, ScoreOptions, ScorePlan, TextColumns};

/// What is reserved for a request, and what of it may be in the engine, in bytes.
pub const MEMORY: usize = 10 << 20;
pub const IN_ENGINE: usize = 4 << 20;

/// Up to here a record that has not come whole is no more than was reserved, in bytes.
const USUAL_RECORD: usize = 256 << 10;

/// How often a record lies in memory: as it came, as text, and as it goes.
const COPIES: usize = 4;

/// Pieces of the answer that may wait.
const PIECES: usize = 2;

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
    let Job { engine, columns, options, time, place } = job;
    let memory = options.memory.try_reserve(MEMORY)?;
    let held = (place, memory.clone());
    let mut table = Table::new(upload, decoder(media, &columns), memory);
    let (made, pieces) = mpsc::channel(PIECES);
    let making = match table.schema().await? {
        None => {
            let rest = table.rest()?;
            async move { pass_on(&made, rest).await }.boxed()
        }
        Some(schema) => {
            let shape = Shape::new(media, &schema, &columns, &engine.model().labels)?;
            let in_flight = InFlight { bytes: options.in_flight.bytes.min(IN_ENGINE), ..options.in_flight };
            table.scored(engine, shape, in_flight, made)?.boxed()
        }
    };
    let relay = Relay::new(options.spool.clone(), is_whole);
    let mut outgoing = Outgoing::spawn(time, async move |outlet| {
        // What was read is copied on its way out: as much is held as it was at most.
        let _held = held;
        tokio::try_join!(making, relay.run(pieces, outlet, time.stall)).map(drop)
    });
    let length = outgoing.begin().await?;
    let mut response = ([(header::CONTENT_TYPE, media.name())], outgoing.into_body()).into_response();
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

/// Passes on a piece of the answer.
async fn pass_on(made: &mpsc::Sender<Bytes>, piece: Vec<u8>) -> Result<()> {
    made.send(Bytes::from(piece)).await.map_err(|_| left())
}

/// What reads the records of such a table.
pub fn decoder(media: Media, options: &ScoreOptions) -> Box<dyn LineDecoder> {
    let named = || match &options.text {
        None => Vec::new(),
        Some(TextColumns::One(name)) => vec![name.clone()],
        Some(TextColumns::Several(names)) => names.clone(),
    };
    match media.delimiter() {
        Some(delimiter) => Box::new(CsvDecoder::new(delimiter)),
        None => Box::new(JsonDecoder::new(named())),
    }
}

/// What becomes of the records.
struct Shape {
    /// Of the new columns alone.
    plan: ScorePlan,
    encoder: Box<dyn LineEncoder>,
    /// Names that records may not have.
    taken: Vec<String>,
}

impl Shape {
    fn new(media: Media, schema: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let whole = ScorePlan::new(schema, options, classes)?;
        let plan = ScorePlan::new(schema, &ScoreOptions { columns: Columns::New, ..options.clone() }, classes)?;
        let names: Vec<String> = plan.new_fields().iter().map(|field| field.name().clone()).collect();
        let is_whole = options.columns == Columns::All;
        let taken = if is_whole { names.clone() } else { Vec::new() };
        let kept = whole.kept_columns().to_vec();
        let encoder: Box<dyn LineEncoder> = match (media.delimiter(), is_whole) {
            (Some(delimiter), true) => Box::new(CsvEncoder { delimiter, names }),
            (Some(delimiter), false) => Box::new(ChosenCells { delimiter, kept, names }),
            (None, true) => Box::new(JsonEncoder::new(&names)),
            (None, false) => {
                let kept = kept.into_iter().map(|column| schema.field(column).name().clone());
                Box::new(ChosenKeys::new(kept.collect(), &names))
            }
        };
        Ok(Self { plan, encoder, taken })
    }
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

    /// Scores the records, and passes them on with their new columns.
    fn scored(
        mut self,
        engine: Engine,
        Shape { plan, encoder, taken }: Shape,
        in_flight: InFlight,
        made: mpsc::Sender<Bytes>,
    ) -> Result<impl Future<Output = Result<()>> + Send + 'static> {
        // Goes with the first records, so that what is wrong with those is said before anything.
        let mut piece = encoder.names(self.begin(&plan.inputs(), &taken)?);
        let plan = Arc::new(plan.of_inputs());
        Ok(async move {
            let mut batches = Box::pin(score_batches(engine, plan, in_flight, self.blocks()));
            while let Some(Scored { columns, rest: lines, .. }) = batches.try_next().await? {
                piece.extend(encoder.encode(lines, &columns)?);
                pass_on(&made, std::mem::take(&mut piece)).await?;
            }
            pass_on(&made, piece).await
        })
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
