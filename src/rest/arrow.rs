//! A stream of Arrow IPC: scored as it comes, with the answer on its way while the body is.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use axum::response::Response;
use futures::StreamExt;
use futures::stream::{Stream, try_unfold};

use super::account::Book;
use super::answer::{Made, StreamedAnswer};
use super::media::Media;
use super::upload::TableBody;
use super::writer::BatchWriter;
use super::{Job, TableLimits};
use crate::Result;
use crate::engine::Engine;
use crate::memory::Reservation;
use crate::source::ipc::{ArrowStream, MessageLimits, ReceivedBatch};
use crate::source::strings_as_bytes;
use crate::stream::{InFlight, Incoming, appended, score_batches};
use crate::table::{ScorePlan, text_bytes};

/// Scores the stream, and answers in `media`.
///
/// # Errors
/// What is wrong with its beginning or with the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let classes = &engine.model().labels;
    let mut stream = ArrowStream::new(upload.pieces().boxed(), limits(&options, text_bytes(classes)));
    let (schema, memory) = stream.schema().await?;
    let plan = ScorePlan::new(&schema, &columns, classes)?;
    let raw = Arc::new(strings_as_bytes(&schema, plan.text_columns()));
    let plan = Arc::new(plan.reading(&raw));
    stream.read_as(raw);
    stream.weigh(plan.weights());
    let writer = BatchWriter::new(media, plan.schema(), &options)?;
    let table = Table { stream, plan, writer, book: book.clone() };
    let (in_flight, spool) = (options.in_flight, options.spool.clone());
    let answer = StreamedAnswer { media, is_whole, spool, time, book };
    answer.of((place, memory), |made| table.score(engine, in_flight, made)).await
}

/// The columns, and the memory that their schema takes.
///
/// # Errors
/// What is wrong with its beginning.
pub async fn schema_of_stream(options: &TableLimits, upload: TableBody) -> Result<SchemaRef> {
    let mut stream = ArrowStream::new(upload.pieces().boxed(), limits(options, 0));
    Ok(stream.schema().await?.0)
}

fn limits(options: &TableLimits, row_bytes: usize) -> MessageLimits {
    let TableLimits { memory, message_bytes, stall_timeout, .. } = options;
    MessageLimits { memory: memory.clone(), message_bytes: *message_bytes, row_bytes, patience: *stall_timeout }
}

/// A stream whose schema has come.
struct Table {
    stream: ArrowStream,
    plan: Arc<ScorePlan>,
    writer: BatchWriter,
    book: Book,
}

impl Table {
    async fn score(self, engine: Engine, in_flight: InFlight, made: Made) -> Result<()> {
        let Self { stream, plan, writer, book } = self;
        let scored = book.follow(score_batches(engine, Arc::clone(&plan), in_flight, batches(stream)));
        writer.write_all(appended(plan, scored), &made).await
    }
}

/// The batches that come, each with its memory.
fn batches(
    stream: ArrowStream,
) -> impl Stream<Item = Result<Incoming<arrow::array::RecordBatch, Vec<Reservation>>>> + Send {
    try_unfold(stream, async |mut stream| {
        let received = stream.next().await?;
        Ok(received.map(|ReceivedBatch { rows, bytes, memory }| (Incoming { rows, bytes, rest: memory }, stream)))
    })
}
