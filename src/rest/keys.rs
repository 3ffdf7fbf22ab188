//! JSON lines that are answered in another type: their values as texts, and the new columns with types of their own.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use axum::response::Response;
use futures::TryStreamExt;

use super::answer::{Made, StreamedAnswer};
use super::lines::{IN_ENGINE, MEMORY, Table, decoder, scored_names};
use super::media::Media;
use super::upload::TableBody;
use super::writer::BatchWriter;
use super::{Job, TableLimits};
use crate::engine::Engine;
use crate::source::json::{KeptKeys, paths};
use crate::source::lines::Lines;
use crate::stream::{Scored, score_batches};
use crate::table::{Columns, ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// How often a record lies in memory: as it came, as text, in its columns, and as it goes.
const COPIES: usize = 4;

/// Values of a batch, at most: a short line may stand for as many nulls as there are columns.
const BATCH_VALUES: usize = 64 << 10;

/// Scores the records, and answers in `media`.
///
/// # Errors
/// What is wrong with the first record or with the options. Whatever comes later breaks the answer off.
pub async fn score(job: Job, upload: TableBody, media: Media, is_whole: bool) -> Result<Response> {
    let Job { engine, columns, options, time, place } = job;
    let memory = options.memory.try_reserve(MEMORY)?;
    let held = (place, memory.clone());
    let mut table = Table::new(upload, decoder(Media::JsonLines, &columns), memory);
    let nothing = || Error::Invalid("no record: what columns there are is said by the first".to_owned());
    let first = table.schema().await?.ok_or_else(nothing)?;
    let shape = Shape::new(&first, &columns, &engine.model().labels)?;
    let writer = BatchWriter::new(media, Arc::clone(&shape.schema), &options)?;
    let new_names: Vec<String> = shape.plan.new_fields().iter().map(|field| field.name().clone()).collect();
    let is_all = columns.columns == Columns::All;
    table.begin(&shape.plan.inputs(), if is_all { &new_names } else { &[] })?;
    let answer = StreamedAnswer { media, is_whole, spool: options.spool.clone(), time };
    answer.of(held, |made| shape.score(engine, table, options, writer, made)).await
}

/// What becomes of the records.
struct Shape {
    /// Of the new columns alone.
    plan: ScorePlan,
    kept: KeptKeys,
    schema: SchemaRef,
}

impl Shape {
    fn new(first: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let whole = ScorePlan::new(first, options, classes)?;
        let plan = ScorePlan::new(first, &ScoreOptions { columns: Columns::New, ..options.clone() }, classes)?;
        let is_all = options.columns == Columns::All;
        let kept = whole.kept_columns().iter().map(|column| first.field(*column).name().clone());
        let scored = scored_names(&whole, first);
        let is_kept = |name: &String| !(is_all && scored.contains(name) && is_path(first, name));
        let keys: Vec<String> = kept.filter(is_kept).collect();
        let fields = keys.iter().map(|key| Arc::new(Field::new(key, DataType::Utf8, true)));
        let fields: Vec<FieldRef> = fields.chain(plan.new_fields().iter().cloned()).collect();
        let kept = if is_all { KeptKeys::all(keys, &scored) } else { KeptKeys::new(keys, &scored) };
        Ok(Self { plan, kept, schema: Arc::new(Schema::new(fields)) })
    }

    async fn score(
        self,
        engine: Engine,
        table: Table,
        options: Arc<TableLimits>,
        mut writer: BatchWriter,
        made: Made,
    ) -> Result<()> {
        let in_flight = options.in_flight.within(IN_ENGINE);
        let plan = Arc::new(self.plan.clone().of_inputs());
        let mut scored = Box::pin(score_batches(engine, plan, in_flight, table.blocks()));
        let mut rows_before = 0;
        while let Some(scored) = scored.try_next().await? {
            let held = options.memory.try_reserve_large(COPIES * scored.rest.bytes.len())?;
            let rows = scored.rest.ends.len();
            for first in (0..rows).step_by(self.batch_rows()) {
                writer.write(self.batch(&scored, first, rows_before)?, &made).await?;
            }
            rows_before += rows;
            drop(held);
        }
        writer.end(&made).await
    }

    fn batch_rows(&self) -> usize {
        (BATCH_VALUES / self.schema.fields().len().max(1)).max(1)
    }

    /// The rows from `first` on.
    fn batch(&self, scored: &Scored<Lines>, first: usize, rows_before: usize) -> Result<RecordBatch> {
        let Scored { columns: new, rest: lines, .. } = scored;
        let count = self.batch_rows().min(lines.ends.len() - first);
        let mut columns = self.kept.texts(lines, first, count, rows_before)?;
        columns.extend(new.iter().map(|column| column.slice(first, count)));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|cause| Error::Failed(format!("values do not fit: {cause}")))
    }
}

/// Whether a column is no key, but a path into an object: it was named, and does not come back by itself.
fn is_path(first: &Schema, name: &str) -> bool {
    let is_object =
        |name: &str| first.field_with_name(name).is_ok_and(|field| matches!(field.data_type(), DataType::Struct(_)));
    paths(name).any(|(key, _)| is_object(key))
}
