//! A Parquet file that is answered in another type, or of which columns are chosen: kept in the spool, and on its way out while its
//! rows are decoded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::response::Response;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tracing::{Instrument, info_span};

use super::account::Book;
use super::answer::{Made, StreamedAnswer};
use super::media::Media;
use super::parquet::{BATCH_ROWS, IN_ENGINE, MEMORY, opened};
use super::upload::TableBody;
use super::writer::BatchWriter;
use super::{Job, TableLimits};
use crate::engine::Engine;
use crate::memory::{Memory, Reservation};
use crate::panics::blocking;
use crate::source::parquet::ParquetFile;
use crate::source::{Source, slices, strings_as_bytes, typed, typed_bytes};
use crate::spool::SpoolFile;
use crate::stream::{Incoming, appended, score_batches};
use crate::table::{ScoreOptions, ScorePlan};
use crate::traces::TARGET;
use crate::{Error, Result};

/// Bytes of a batch with the types of its table, beyond which it is split: in the file a long text may lie once for many rows.
const LARGEST_BATCH: usize = 4 << 20;

/// How often the bytes of a batch are there at a time: as scored, and as written.
const COPIES: usize = 2;

/// Scores the file, and answers in `media`.
///
/// # Errors
/// What is wrong with the file's footer, its pages or the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let body = upload.spooled(&options.spool).instrument(info_span!(target: TARGET, "receive")).await?;
    let memory = options.memory.try_reserve(MEMORY)?;
    let (classes, held) = (engine.model().labels.clone(), memory.clone());
    let (body, table) = blocking(move || {
        let table = Table::open(&body, &columns, &classes, &held)?;
        Ok((body, table))
    })
    .await?;
    let writer = BatchWriter::new(media, table.plan.schema(), &options)?;
    book.expect(table.source.rows());
    let way = Way { book: book.clone(), writer, options: Arc::clone(&options) };
    let answer = StreamedAnswer { media, is_whole, spool: options.spool.clone(), time, book };
    answer.of((place, memory, body), |made| table.score(engine, way, made)).await
}

/// Where scored rows go, and within which limits.
struct Way {
    book: Book,
    writer: BatchWriter,
    options: Arc<TableLimits>,
}

/// A file that can be scored as its client says.
struct Table {
    source: Arc<ParquetFile>,
    /// The columns that are read.
    inputs: Vec<usize>,
    /// Their types, strings that are scored as bytes.
    read: SchemaRef,
    plan: Arc<ScorePlan>,
}

impl Table {
    /// Reads what the file says of itself, and reserves the memory that decoding it takes. Blocks.
    fn open(body: &SpoolFile, options: &ScoreOptions, classes: &[String], memory: &Reservation) -> Result<Self> {
        let (source, bytes) = opened(body, memory)?;
        let plan = ScorePlan::new(source.schema(), options, classes)?;
        let inputs = plan.inputs();
        let reserve = |more| memory.extend_to(bytes.saturating_add(usize::try_from(more).unwrap_or(usize::MAX)));
        reserve(source.decoding_bytes(&inputs, BATCH_ROWS, &reserve)?)?;
        let read = source.schema().project(&inputs);
        let read = read.map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?;
        let plan = plan.of_inputs();
        let read = Arc::new(strings_as_bytes(&read, plan.text_columns()));
        let plan = Arc::new(plan.reading(&read));
        Ok(Self { source: Arc::new(source), inputs, read, plan })
    }

    async fn score(self, engine: Engine, way: Way, made: Made) -> Result<()> {
        let Way { book, writer, options } = way;
        let in_flight = options.in_flight.within(IN_ENGINE);
        let plan = Arc::clone(&self.plan);
        let batches = self.batches(options.memory.clone());
        let scored = book.follow(score_batches(engine, Arc::clone(&plan), in_flight, batches));
        writer.write_all(appended(plan, scored), &made).await
    }

    /// The rows with the types of the table, each batch with the memory for all that is made of it.
    fn batches(
        self,
        memory: Memory,
    ) -> impl Stream<Item = Result<Incoming<RecordBatch, Reservation>>> + Send + 'static {
        let Self { source, inputs, read, plan } = self;
        let parts = 0..source.parts().len();
        let decoded = source.read(parts, &inputs, BATCH_ROWS);
        let split = decoded.map_ok(|batch| stream::iter(slices(&batch, LARGEST_BATCH)).map(Ok)).try_flatten();
        split.and_then(move |batch| {
            let bytes = COPIES * typed_bytes(&batch) + plan.weight(&batch);
            let incoming = memory.try_reserve_large(bytes).and_then(|held| {
                let rows = typed(&batch, Arc::clone(&read))?;
                Ok(Incoming { rows, bytes, rest: held })
            });
            std::future::ready(incoming)
        })
    }
}
