//! JSON lines of which another table is made: their values as texts, and the new columns with types of their own.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::source::json::{KeptKeys, paths};
use crate::source::lines::Lines;
use crate::table::{Columns, ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// Values of a batch, at most: a short line may stand for as many nulls as there are columns.
const BATCH_VALUES: usize = 64 << 10;

/// What becomes of records.
pub struct KeyPlan {
    /// Of the new columns alone.
    pub plan: ScorePlan,
    /// Names that records may not have.
    pub taken: Vec<String>,
    kept: KeptKeys,
    schema: SchemaRef,
}

impl KeyPlan {
    /// That of a table whose first record has these columns.
    ///
    /// # Errors
    /// As [`ScorePlan::new`].
    pub fn new(first: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let whole = ScorePlan::new(first, options, classes)?;
        let plan = ScorePlan::new(first, &ScoreOptions { columns: Columns::New, ..options.clone() }, classes)?;
        let is_all = options.columns == Columns::All;
        let kept = whole.kept_columns().iter().map(|column| first.field(*column).name().clone());
        let scored = whole.text_set(first);
        let is_kept = |name: &String| !(is_all && scored.contains(name) && is_path(first, name));
        let keys: Vec<String> = kept.filter(is_kept).collect();
        let fields = keys.iter().map(|key| Arc::new(Field::new(key, DataType::Utf8, true)));
        let fields: Vec<FieldRef> = fields.chain(plan.new_fields().iter().cloned()).collect();
        let kept = if is_all { KeptKeys::all(keys, &scored) } else { KeptKeys::new(keys, &scored) };
        let names = plan.new_fields().iter().map(|field| field.name().clone());
        let taken = if is_all { names.collect() } else { Vec::new() };
        Ok(Self { plan, taken, kept, schema: Arc::new(Schema::new(fields)) })
    }

    /// The columns of the table.
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// These records as rows with the new columns, batch by batch; `rows_before` are those before the first of them.
    ///
    /// # Errors
    /// As [`KeptKeys::texts`].
    pub fn batches(
        &self,
        lines: &Lines,
        new: &[ArrayRef],
        rows_before: usize,
    ) -> impl Iterator<Item = Result<RecordBatch>> {
        let (rows, step) = (lines.ends.len(), (BATCH_VALUES / self.schema.fields().len().max(1)).max(1));
        (0..rows).step_by(step).map(move |first| self.batch(lines, new, first, step.min(rows - first), rows_before))
    }

    fn batch(
        &self,
        lines: &Lines,
        new: &[ArrayRef],
        first: usize,
        count: usize,
        rows_before: usize,
    ) -> Result<RecordBatch> {
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
