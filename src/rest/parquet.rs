//! A Parquet file: kept in the spool, since its footer is at its end, scored whole, and then sent. All that can fail has failed
//! before the first byte of the answer, whose length is known.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::{Instrument, info_span};

use super::Job;
use super::account::Book;
use super::media::Media;
use super::outgoing::{Outgoing, Outlet};
use super::tail::Tail;
use super::upload::TableBody;
use crate::Result;
use crate::classifier::ModelFacts;
use crate::engine::Engine;
use crate::format::TableFormat;
use crate::identity::JobIdentity;
use crate::memory::Reservation;
use crate::panics::{blocking, blocking_while_awaited, joined};
use crate::sink::Sink;
use crate::sink::parquet::{Splice, encoded_bytes, footer_bytes};
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::spool::{Spool, SpoolFile};
use crate::stream::{InFlight, Incoming, score_batches};
use crate::table::{ScoreOptions, ScorePlan};
use crate::traces::TARGET;

/// What errors call the file.
const NAME: &str = "the body";

/// Scored batches that may wait for the writer.
const BATCHES_BEHIND: usize = 2;

/// How much of the answer is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// What is reserved for a file that is scored, and what of it may be in the engine, in bytes.
pub const MEMORY: usize = 12 << 20;
pub const IN_ENGINE: usize = 8 << 20;

/// How many times its own length a footer takes once it is read. Measured: 24 to 31 where it lists thousands of columns, each
/// in some fifty bytes.
const FOOTER_COPIES: usize = 40;

/// Rows that are decoded at once, at most: few, for their pages are held as long as they.
pub const BATCH_ROWS: usize = 1024;

/// Scores the file. `facts` say which model does.
///
/// # Errors
/// What is wrong with the file or the options, or why it could not be scored.
pub async fn score_file(job: Job, facts: ModelFacts, upload: TableBody) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let body = upload.spooled(&options.spool).instrument(info_span!(target: TARGET, "receive")).await?;
    let memory = options.memory.try_reserve(MEMORY)?;
    let (spool, held) = (options.spool.clone(), memory.clone());
    let (body, table) = blocking(move || {
        let table = Table::open(&body, &spool, &columns, &facts, &held)?;
        Ok((body, table))
    })
    .await?;
    let in_flight = options.in_flight.within(IN_ENGINE);
    table.score(engine, in_flight, &book).await.map_err(|error| table.tail.failure(error))?;
    let answer = Answer { common: table.source.data_len(), body, tail: table.tail };
    let length = (answer.common + answer.tail.len()).to_string();
    let outgoing = Outgoing::spawn(time, book, async move |outlet| {
        let _held = (place, memory);
        answer.send(&outlet).await
    });
    let headers = [(header::CONTENT_TYPE, Media::Parquet.name().to_owned()), (header::CONTENT_LENGTH, length)];
    Ok((headers, outgoing.into_body()).into_response())
}

/// The columns of a file of which perhaps the footer alone was sent. Blocks.
///
/// # Errors
/// As [`opened`].
pub fn schema_of_footer(body: &SpoolFile, memory: &Reservation) -> Result<SchemaRef> {
    reserve_footer(body, memory)?;
    ParquetFile::schema_of(Path::new(NAME), body.file()?)
}

/// Reserves what a footer takes once it is read, in bytes, and says how much that is with all else. Blocks.
fn reserve_footer(body: &SpoolFile, memory: &Reservation) -> Result<usize> {
    let footer = ParquetFile::footer_len(Path::new(NAME), body.file()?)?;
    let bytes = MEMORY.saturating_add(footer.saturating_mul(FOOTER_COPIES));
    memory.extend_to(bytes)?;
    Ok(bytes)
}

/// What the file says of itself, and how many bytes of `memory` are for that. Blocks.
///
/// # Errors
/// What is wrong with the file, and [`crate::Error::Busy`] where there is no memory for its footer.
pub fn opened(body: &SpoolFile, memory: &Reservation) -> Result<(ParquetFile, usize)> {
    let bytes = reserve_footer(body, memory)?;
    Ok((ParquetFile::of(Path::new(NAME), body.file()?)?, bytes))
}

/// A file that can be scored as its client says, and where the new columns go.
struct Table {
    source: Arc<ParquetFile>,
    plan: ScorePlan,
    /// What the new columns say of themselves.
    marks: Marks,
    tail: Tail,
}

impl Table {
    /// Reads what the file says of itself, and reserves the memory that scoring it takes. Blocks.
    fn open(
        body: &SpoolFile,
        spool: &Spool,
        options: &ScoreOptions,
        model: &ModelFacts,
        memory: &Reservation,
    ) -> Result<Self> {
        let (source, bytes) = opened(body, memory)?;
        let plan = ScorePlan::beside(source.schema(), options, &model.info.labels)?;
        let inputs = plan.inputs();
        let reserve = |more| memory.extend_to(bytes.saturating_add(usize::try_from(more).unwrap_or(usize::MAX)));
        let decoding = source.decoding_bytes(&inputs, BATCH_ROWS, &reserve)?;
        let encoded = encoded_bytes(plan.new_fields(), source.largest_group(&inputs));
        let input = (source.fingerprint(), Some(source.footer()));
        let marks = JobIdentity::new(input, model, (options, None, TableFormat::Parquet), &plan).marks()?;
        let footer = footer_bytes(plan.new_fields(), source.parts().len(), &marks);
        reserve(decoding.saturating_add(encoded).saturating_add(footer))?;
        let tail = Tail::new(source.data_len(), spool.create()?);
        Ok(Self { source: Arc::new(source), plan, marks, tail })
    }

    async fn score(&self, engine: Engine, in_flight: InFlight, book: &Book) -> Result<()> {
        book.expect(self.source.rows());
        let sink = self.begin().await?;
        let (scored, incoming) = mpsc::channel(BATCHES_BEHIND);
        let writer = spawn_blocking(move || write(sink, incoming));
        self.scores(engine, in_flight, scored, book).await?;
        joined(writer).await
    }

    /// Makes ready for the new columns.
    async fn begin(&self) -> Result<Box<dyn Sink>> {
        let (source, plan, tail) = (Arc::clone(&self.source), self.plan.clone(), self.tail.clone());
        let marks = self.marks.clone();
        blocking_while_awaited(move |is_awaited| {
            let text = plan.text_columns().next().unwrap_or_default();
            let stop = || !is_awaited();
            let splice = Splice::begin(source, plan.new_fields(), text, Path::new(NAME), tail, stop)?;
            Ok(Box::new(splice.marked(marks)) as Box<dyn Sink>)
        })
        .await
    }

    /// Sends on the columns of scores.
    async fn scores(
        &self,
        engine: Engine,
        in_flight: InFlight,
        scored: mpsc::Sender<Vec<ArrayRef>>,
        book: &Book,
    ) -> Result<()> {
        let source: Arc<dyn Source> = Arc::clone(&self.source) as _;
        let parts = 0..source.parts().len();
        let batches = source.read(parts, &self.plan.inputs(), BATCH_ROWS).map(|batch| {
            let batch = batch?;
            Ok(Incoming { bytes: batch.get_array_memory_size(), rows: batch, rest: () })
        });
        let reader = Arc::new(self.plan.clone().of_inputs());
        let mut batches = pin!(book.clone().follow(score_batches(engine, reader, in_flight, batches)));
        while let Some(batch) = batches.next().await {
            if scored.send(batch?.columns).await.is_err() {
                // The writer has failed, and says of what.
                break;
            }
        }
        Ok(())
    }
}

/// Writes what comes until no more does.
fn write(mut sink: Box<dyn Sink>, mut incoming: mpsc::Receiver<Vec<ArrayRef>>) -> Result<()> {
    while let Some(columns) = incoming.blocking_recv() {
        sink.write(&columns)?;
    }
    sink.finish()
}

/// The scored file.
struct Answer {
    body: SpoolFile,
    /// How much of the body it begins with, in bytes.
    common: u64,
    tail: Tail,
}

impl Answer {
    async fn send(self, outlet: &Outlet) -> Result<()> {
        let answer = Arc::new(self);
        let mut at = 0;
        loop {
            let reader = Arc::clone(&answer);
            let bytes = blocking(move || reader.read_at(at)).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            at += bytes.len() as u64;
            outlet.send(Bytes::from(bytes)).await?;
        }
    }

    /// What comes at `at`; nothing at the end. Blocks.
    fn read_at(&self, at: u64) -> Result<Vec<u8>> {
        match self.common.checked_sub(at) {
            Some(left @ 1..) => self.body.read_at(at, usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES)),
            _ => self.tail.read_at(at - self.common, READ_BYTES),
        }
    }
}
