//! JSON lines that are answered in another type: their values as texts, and the new columns with types of their own.

use std::sync::Arc;

use axum::response::Response;
use futures::TryStreamExt;

use super::account::Book;
use super::answer::{Made, StreamedAnswer};
use super::lines::{IN_ENGINE, MEMORY, Table, decoder};
use super::media::Media;
use super::upload::TableBody;
use super::writer::BatchWriter;
use super::{Job, TableLimits};
use crate::engine::Engine;
use crate::stream::{KeyPlan, Scored, score_batches};
use crate::{Error, Result};

/// How often a record lies in memory: as it came, as text, in its columns, and as it goes.
const COPIES: usize = 4;

/// Scores the records, and answers in `media`.
///
/// # Errors
/// What is wrong with the first record or with the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place, book } = job;
    let memory = options.memory.try_reserve(MEMORY)?;
    let held = (place, memory.clone());
    let mut table = Table::new(upload, decoder(Media::JsonLines, &columns), memory);
    let nothing = || Error::Invalid("no record: what columns there are is said by the first".to_owned());
    let first = table.schema().await?.ok_or_else(nothing)?;
    let plan = KeyPlan::new(&first, &columns, &engine.model().labels)?;
    let writer = BatchWriter::new(media, Arc::clone(plan.schema()), &options)?;
    table.begin(&plan.plan.inputs(), &plan.taken)?;
    let keys = Keys { table, plan, writer, book: book.clone() };
    let answer = StreamedAnswer { media, is_whole, spool: options.spool.clone(), time, book };
    answer.of(held, |made| keys.score(engine, options, made)).await
}

/// A table whose columns are known.
struct Keys {
    table: Table,
    plan: KeyPlan,
    writer: BatchWriter,
    book: Book,
}

impl Keys {
    async fn score(self, engine: Engine, options: Arc<TableLimits>, made: Made) -> Result<()> {
        let Self { table, plan, mut writer, book } = self;
        let reader = Arc::new(plan.plan.clone().of_inputs());
        let in_flight = options.in_flight.within(IN_ENGINE);
        let mut scored = Box::pin(book.follow(score_batches(engine, reader, in_flight, table.blocks())));
        let mut rows_before = 0;
        while let Some(Scored { columns, rest: lines, .. }) = scored.try_next().await? {
            let held = options.memory.try_reserve_large(COPIES * lines.bytes.len())?;
            for batch in plan.batches(&lines, &columns, rows_before) {
                writer.write(batch?, &made).await?;
            }
            rows_before += lines.ends.len();
            drop(held);
        }
        writer.end(&made).await
    }
}
