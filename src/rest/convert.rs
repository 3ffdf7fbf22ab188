//! CSV that is answered in another type: its cells as texts, and the new columns with types of their own.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::response::Response;
use futures::{Stream, TryStreamExt};

use super::answer::StreamedAnswer;
use super::lines::{IN_ENGINE, MEMORY, Table};
use super::media::Media;
use super::upload::TableBody;
use super::writer::BatchWriter;
use super::{Job, TableLimits};
use crate::memory::Reservation;
use crate::source::csv::{CsvDecoder, texts};
use crate::stream::{Incoming, appended, score_batches};
use crate::table::ScorePlan;
use crate::{Error, Result};

/// How often a cell lies in memory: as it came, as text, in its column, and as it goes.
const COPIES: usize = 4;

/// Scores a table whose cells stand between such bytes, and answers in `media`.
///
/// # Errors
/// What is wrong with the beginning of the table or with the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, delimiter: u8, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let memory = options.memory.try_reserve(MEMORY)?;
    let held = (place, memory.clone());
    let mut table = Table::new(upload, Box::new(CsvDecoder::new(delimiter)), memory);
    let schema = table.schema().await?.ok_or_else(|| Error::Invalid("no line of names".to_owned()))?;
    let plan = ScorePlan::new(&schema, &columns, &engine.model().labels)?;
    let writer = BatchWriter::new(media, plan.schema(), &options)?;
    let inputs = plan.inputs();
    table.begin(&inputs, &[])?;
    let read = schema.project(&inputs).map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?;
    let batches = batches(table, Arc::new(read), Arc::clone(&options));
    let (plan, in_flight) = (Arc::new(plan.of_inputs()), options.in_flight.within(IN_ENGINE));
    let scored = book.clone().follow(score_batches(engine, Arc::clone(&plan), in_flight, batches));
    let answer = StreamedAnswer { media, is_whole, spool: options.spool.clone(), time, book };
    answer.of(held, async |made| writer.write_all(appended(plan, scored), &made).await).await
}

type Batch = Incoming<RecordBatch, Reservation>;

/// The records as texts, each batch with the memory for all that is made of it.
fn batches(
    table: Table,
    schema: SchemaRef,
    limits: Arc<TableLimits>,
) -> impl Stream<Item = Result<Batch>> + Send + 'static {
    let mut rows_before = 0;
    let placed = table.blocks().map_ok(move |block| {
        let before = rows_before;
        rows_before += block.rows.num_rows();
        (before, block)
    });
    placed.and_then(move |(before, Incoming { rows, bytes, rest: lines })| {
        let (schema, limits) = (Arc::clone(&schema), Arc::clone(&limits));
        async move {
            drop(lines);
            let held = limits.memory.try_reserve_large(COPIES * bytes)?;
            let rows = texts(&rows, schema).map_err(|error| error.after_rows(before))?;
            Ok(Incoming { rows, bytes, rest: held })
        }
    })
}
