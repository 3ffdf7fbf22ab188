//! What is to be done with the batches of one schema.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};

use super::columns::ScoreColumns;
use super::names::{Names, twice};
use super::options::{Columns, OnError, ScoreOptions};
use super::target::{ScoreTarget, list};
use super::texts::ColumnTexts;
use super::weight::{column_weight, weights};
use crate::classifier::Scores;
use crate::source::ipc::Weight;
use crate::{Error, Result};

/// What is to be done with the batches of one schema.
#[derive(Debug, Clone)]
pub struct ScorePlan {
    targets: Vec<ScoreTarget>,
    made: ScoreColumns,
    on_error: OnError,
    /// The columns that come back, before the new ones.
    kept: Vec<usize>,
    new_fields: Fields,
    schema: SchemaRef,
    /// The same as it is in memory.
    appended: SchemaRef,
    weights: Vec<Weight>,
}

impl ScorePlan {
    /// Finds the text columns of `schema`, those that come back, and the ones to append, for a model with these class names.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such column, more than one that could be meant, or a name is taken.
    pub fn new(schema: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let targets = ScoreTarget::find(schema, options.text.as_ref())?;
        let kept = kept(schema, &options.columns)?;
        let made = ScoreColumns::new(options, classes);
        let new_fields: Vec<_> =
            targets.iter().flat_map(|target| made.fields(&target.prefix, target.deep)).map(Arc::new).collect();
        let kept_fields: Vec<FieldRef> = kept.iter().map(|column| Arc::clone(&schema.fields()[*column])).collect();
        check_names(&kept_fields, &new_fields, targets.len())?;
        let fields: Vec<FieldRef> = kept_fields.into_iter().chain(new_fields.iter().cloned()).collect();
        let on_error = options.on_error;
        let weights = weights(schema, &targets, on_error == OnError::Null, classes);
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let appended = Arc::clone(&schema);
        Ok(Self { targets, made, on_error, kept, new_fields: new_fields.into(), schema, appended, weights })
    }

    /// The plan of who scores nothing: no column is read, and none is made.
    pub fn of_nothing() -> Self {
        let (new_fields, schema) = (Fields::empty(), Arc::new(Schema::empty()));
        Self {
            targets: Vec::new(),
            made: ScoreColumns::new(&ScoreOptions::default(), &[]),
            on_error: OnError::Fail,
            kept: Vec::new(),
            new_fields,
            appended: Arc::clone(&schema),
            schema,
            weights: Vec::new(),
        }
    }

    /// The plan of the new columns alone, for a table that keeps all that it has: a file to which they are added.
    ///
    /// # Errors
    /// As for [`ScorePlan::new`], and [`Error::Invalid`] where only some columns are to come back.
    pub fn beside(schema: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        if options.columns != Columns::All {
            return Err(Error::Invalid(
                "a file keeps all of its columns: \"columns\" is for record batches".to_owned(),
            ));
        }
        // None of its names may be taken, though none of its columns but the texts is read.
        Self::new(schema, options, classes)?;
        Self::new(schema, &ScoreOptions { columns: Columns::New, ..options.clone() }, classes)
    }

    /// The columns of the input that are read, whether to be scored or to come back, in ascending order.
    pub fn inputs(&self) -> Vec<usize> {
        let mut inputs: Vec<_> = self.text_columns().chain(self.kept.iter().copied()).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// The same for batches that have the columns [`ScorePlan::inputs`] alone, in that order.
    #[must_use]
    pub fn of_inputs(mut self) -> Self {
        let inputs = self.inputs();
        let place = |column: &mut usize| *column = inputs.partition_point(|input| *input < *column);
        self.targets.iter_mut().for_each(|target| place(&mut target.column));
        self.kept.iter_mut().for_each(place);
        self
    }

    /// The same for batches that are read by the schema `raw`, in which strings are bytes. What comes back is bytes, too, and
    /// lies in memory as the strings of [`ScorePlan::schema`] do.
    #[must_use]
    pub fn reading(mut self, raw: &Schema) -> Self {
        let kept = self.kept.iter().map(|column| &raw.fields()[*column]);
        let fields: Fields = kept.chain(&self.new_fields).cloned().collect();
        self.appended = Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()));
        self
    }

    /// The columns that come back, before the new ones.
    pub fn kept_columns(&self) -> &[usize] {
        &self.kept
    }

    /// The columns that texts are in, in the order in which they were named.
    pub fn text_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.targets.iter().map(|target| target.column)
    }

    /// The names of these columns of `schema`.
    pub fn text_set(&self, schema: &Schema) -> HashSet<String> {
        self.text_columns().map(|column| schema.field(column).name().clone()).collect()
    }

    /// What they are called, in the same order.
    pub fn text_names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.name.as_str())
    }

    /// Whether each row gets one label: one column is scored, and it is none of lists.
    pub fn has_one_label_a_row(&self) -> bool {
        matches!(&self.targets[..], [target] if target.deep == 0)
    }

    /// The appended fields.
    pub const fn new_fields(&self) -> &Fields {
        &self.new_fields
    }

    /// What its texts and scores take in memory, beside a batch of the input.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The same for a batch that is there, if only its first columns.
    pub fn weight(&self, batch: &RecordBatch) -> usize {
        let keeps_causes = self.on_error == OnError::Null;
        let columns =
            self.targets.iter().filter_map(|target| Some((batch.columns().get(target.column)?, &target.path)));
        columns.map(|(column, path)| column_weight(column, path, keeps_causes, self.made.classes())).sum()
    }

    /// The columns that come back with the appended ones, and the input's metadata.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The texts of a batch, a column each.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a column cannot be read as text, [`Error::NotText`] that names the first row that is none,
    /// unless such rows get nulls.
    pub fn texts(&self, batch: &RecordBatch) -> Result<Vec<ColumnTexts>> {
        let read = |target: &ScoreTarget| {
            ColumnTexts::read(batch.column(target.column), &target.path)
                .map_err(|cause| Error::Invalid(format!("column {:?}: {cause}", target.name)))
        };
        let texts: Vec<_> = self.targets.iter().map(read).collect::<Result<_>>()?;
        match self.first(&texts, |texts, _| &texts.unreadable) {
            Some((row, name, cause)) => Err(Error::NotText { row, cause: format!("column {name:?}: {cause}") }),
            None => Ok(texts),
        }
    }

    /// The columns to append, in the order of [`ScorePlan::new_fields`], for a batch of so many rows.
    ///
    /// # Errors
    /// [`Error::Unscorable`] that names the first row that has no score, unless such rows get nulls, and [`Error::Failed`]
    /// when the scores are of another model.
    pub fn columns(&self, texts: &[ColumnTexts], scores: &[Scores], rows: usize) -> Result<Vec<ArrayRef>> {
        if let Some((row, name, cause)) = self.first(texts, |_, number| scores[number].missed()) {
            let of = if self.targets.len() > 1 { format!("column {name:?}: ") } else { String::new() };
            return Err(Error::Unscorable { row, cause: of + cause });
        }
        let mut columns = Vec::with_capacity(self.new_fields.len());
        for (texts, scores) in texts.iter().zip(scores) {
            columns.extend(self.made.arrays(scores, &texts.layout, &texts.unreadable, rows)?);
        }
        Ok(columns)
    }

    /// The columns that come back of a batch, with these appended.
    ///
    /// # Errors
    /// [`Error::Failed`] when columns and batch do not belong together.
    pub fn append(&self, batch: &RecordBatch, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        let kept = self.kept.iter().map(|column| Arc::clone(batch.column(*column)));
        RecordBatch::try_new(Arc::clone(&self.appended), kept.chain(columns).collect())
            .map_err(|e| Error::Failed(format!("cannot append the scores: {e}")))
    }

    /// The first row at which the request fails: in which column, and why.
    fn first<'a>(
        &'a self,
        texts: &'a [ColumnTexts],
        causes: impl Fn(&'a ColumnTexts, usize) -> &'a BTreeMap<usize, String>,
    ) -> Option<(usize, &'a str, &'a String)> {
        if self.on_error == OnError::Null {
            return None;
        }
        let of_each = texts.iter().zip(&self.targets).enumerate().filter_map(|(number, (texts, target))| {
            let (row, cause) = texts.first_of(causes(texts, number))?;
            Some((row, target.name.as_str(), cause))
        });
        of_each.min_by_key(|(row, ..)| *row)
    }
}

/// The columns that come back before the new ones.
fn kept(schema: &Schema, columns: &Columns) -> Result<Vec<usize>> {
    let names = match columns {
        Columns::All => return Ok((0..schema.fields().len()).collect()),
        Columns::New => return Ok(Vec::new()),
        Columns::Named(names) => names,
    };
    if let Some(twice) = twice(names) {
        return Err(Error::Invalid(format!("\"columns\" names {twice:?} twice; columns: {}", list(schema))));
    }
    let mut by_name = Names::default();
    names.iter().map(|name| column(schema, name, by_name.called(schema.fields(), name))).collect()
}

/// The column of this name among those that have it.
fn column(schema: &Schema, name: &str, called: &[usize]) -> Result<usize> {
    match called {
        [column] => Ok(*column),
        [_, ..] => Err(Error::Invalid(format!(
            "more than one column is called {name:?}, which \"columns\" names; columns: {}",
            list(schema)
        ))),
        [] => Err(Error::Invalid(format!(
            "column {name:?}, which \"columns\" names, not found; columns: {}",
            list(schema)
        ))),
    }
}

/// `targets` is how many texts the new columns are of, as many for each.
fn check_names(kept: &[FieldRef], new_fields: &[FieldRef], targets: usize) -> Result<()> {
    let each = new_fields.len() / targets.max(1);
    let taken: HashSet<&String> = kept.iter().map(|field| field.name()).collect();
    for (i, field) in new_fields.iter().enumerate() {
        let name = field.name();
        if taken.contains(name) {
            return Err(Error::Invalid(format!(
                "the input already has a column {name:?}; {}",
                match i % each {
                    0 => "choose another name with \"label_column\"",
                    1 => "choose another name with \"confidence_column\"",
                    _ => "rename it, or do not ask for the columns that would take its name",
                }
            )));
        }
    }
    match twice(new_fields.iter().map(|field| field.name())) {
        Some(name) => Err(Error::Invalid(format!("two new columns would be called {name:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
