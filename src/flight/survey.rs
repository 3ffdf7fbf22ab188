//! What the files of a data set have in common, and which of their rows a client gets. Blocks: it reads footers.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::datasets::{DataFile, DataSet, HiveColumn, Version};
use super::selection::Selection;
use crate::source::{Source, strings_as_bytes, typed};
use crate::table::{Columns, ScoreOptions, ScorePlan, TextColumns};
use crate::{Error, Result};

/// How the rows of a data set become those of a stream.
#[derive(Debug, Clone)]
pub struct StreamShape {
    /// The columns of the files.
    model: SchemaRef,
    /// Those of them that are read.
    columns: Vec<usize>,
    /// What is read, as the files have it, but for the strings that are scored: as bytes that nobody has looked at.
    read: SchemaRef,
    hive: Vec<HiveColumn>,
    /// What is scored, and what comes of it.
    pub plan: Arc<ScorePlan>,
}

impl StreamShape {
    /// Of files with the columns of `model`, in folders that add those of `hive`, scored as the command `options` says.
    ///
    /// # Errors
    /// [`Error::Invalid`], as of [`ScorePlan::new`].
    pub fn new(model: &SchemaRef, hive: &[HiveColumn], options: &str, classes: &[String]) -> Result<Self> {
        let mut options = ScoreOptions::from_command(options.as_bytes())?;
        if options.text.is_none() {
            options.text = only_text(model, &options, classes)?;
        }
        let hive: Vec<HiveColumn> = hive.iter().filter(|column| !column.is_in(model)).cloned().collect();
        let plan = ScorePlan::new(&with_hive(model, &hive), &options, classes)?;
        if let Some(text) = plan.text_columns().find(|column| *column >= model.fields().len()) {
            let name = hive[text - model.fields().len()].name();
            return Err(Error::Invalid(format!("column {name:?} stands in the names of folders, which are no texts")));
        }
        let (columns, named): (Vec<usize>, Vec<usize>) =
            plan.inputs().into_iter().partition(|column| *column < model.fields().len());
        let hive: Vec<_> = named.into_iter().map(|column| hive[column - model.fields().len()].clone()).collect();
        let read = model.project(&columns).map_err(|e| Error::Failed(format!("no such columns: {e}")))?;
        let plan = plan.of_inputs();
        let read = Arc::new(strings_as_bytes(&read, plan.text_columns()));
        let plan = Arc::new(plan.reading(&with_hive(&read, &hive)));
        Ok(Self { model: Arc::clone(model), columns, read, hive, plan })
    }

    /// The columns of the files that are read.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Whether all columns of the files are read.
    pub fn reads_all(&self) -> bool {
        self.columns.len() == self.model.fields().len()
    }

    /// What a batch of the file at `path`, as it was read, is scored as.
    ///
    /// # Errors
    /// As [`typed`].
    pub fn batch(&self, batch: &RecordBatch, path: &str) -> Result<RecordBatch> {
        let batch = typed(batch, Arc::clone(&self.read))?;
        if self.hive.is_empty() {
            return Ok(batch);
        }
        let values = self.hive.iter().map(|column| column.array(path, batch.num_rows()));
        let columns = batch.columns().iter().cloned().map(Ok).chain(values).collect::<Result<_>>()?;
        RecordBatch::try_new(Arc::new(with_hive(&self.read, &self.hive)), columns)
            .map_err(|e| Error::Failed(format!("cannot append the folders' columns: {e}")))
    }

    /// Refuses a file of other columns. `first` is the file that all are compared with.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names both files and what differs.
    pub fn check(&self, schema: &Schema, path: &str, first: &str) -> Result<()> {
        let fields = self.model.fields().iter().zip(schema.fields());
        let differs = fields.map(|(ours, theirs)| difference(ours, theirs)).find_map(std::convert::identity);
        let (ours, theirs) = (self.model.fields().len(), schema.fields().len());
        let differs = differs.or_else(|| (ours != theirs).then(|| format!("{ours} columns there, {theirs} here")));
        differs.map_or(Ok(()), |difference| {
            Err(Error::Invalid(format!(
                "the files differ: {path:?} has not the columns of {first:?}: {difference}; ask for one by its path"
            )))
        })
    }
}

/// The only text of the files: the names of folders are none, and do not make it two that could be meant.
fn only_text(model: &SchemaRef, options: &ScoreOptions, classes: &[String]) -> Result<Option<TextColumns>> {
    let options = ScoreOptions { columns: Columns::New, ..options.clone() };
    let plan = ScorePlan::new(model, &options, classes)?;
    Ok(plan.text_columns().next().map(|column| TextColumns::one(model.field(column).name())))
}

fn with_hive(schema: &Schema, hive: &[HiveColumn]) -> Schema {
    let hive = hive.iter().map(|column| Arc::new(column.field()));
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(hive).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// What a field has that another must have too.
fn difference(ours: &Field, theirs: &Field) -> Option<String> {
    let same = ours.name() == theirs.name() && ours.data_type().equals_datatype(theirs.data_type());
    if !same {
        let show = |field: &Field| format!("{:?} ({})", field.name(), field.data_type());
        return Some(format!("{} there, {} here", show(ours), show(theirs)));
    }
    // A column that may have nulls takes one that has none, but not the other way round.
    let narrower = !ours.is_nullable() && theirs.is_nullable();
    narrower.then(|| format!("{:?} never has nulls there, and may have some here", ours.name()))
}

/// A part of a file, with the rows of it that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The file.
    pub file: Arc<Version>,
    /// Which part of it.
    pub part: usize,
    /// Rows from its first on.
    pub rows: u64,
}

/// A look at all files of a selection, one after the other.
#[derive(Debug)]
pub struct Survey {
    set: Arc<DataSet>,
    selection: Selection,
    entries: Vec<String>,
    /// The file that all are compared with.
    pub model: Version,
    /// What the names of folders add.
    pub hive: Vec<HiveColumn>,
    /// What they have in common.
    pub shape: StreamShape,
    /// That file, until it is looked at.
    first: Option<DataFile>,
    seen: usize,
    found: Found,
}

/// What was found so far.
#[derive(Debug, Clone, Default)]
struct Found {
    /// The parts that have rows.
    pieces: Vec<Piece>,
    /// Their rows.
    rows: u64,
    /// Bytes that are read: whole files as they are, of parts the columns that are asked for. None if nobody knows.
    bytes: Option<u64>,
}

impl Survey {
    /// Lists the files, and opens the first.
    ///
    /// # Errors
    /// Those of [`DataSet::entries`], [`DataSet::open`] and [`StreamShape::new`].
    pub fn begin(set: Arc<DataSet>, selection: Selection, classes: &[String]) -> Result<Self> {
        let entries = set.entries(selection.path.as_deref())?;
        let hive = HiveColumn::of(&entries).map_err(|error| set.about(error))?;
        let first = set.open(entries.first().map_or("", String::as_str))?;
        let shape = StreamShape::new(first.table.schema(), &hive, &selection.options, classes);
        let shape = shape.map_err(|error| set.about(error))?;
        let found = Found { bytes: Some(0), ..Found::default() };
        let model = first.version.clone();
        Ok(Self { set, selection, entries, model, hive, shape, first: Some(first), seen: 0, found })
    }

    /// Looks at the next file; false when there is none, or none is needed any more.
    ///
    /// # Errors
    /// Those of [`DataSet::open`] and [`StreamShape::check`].
    pub fn step(&mut self) -> Result<bool> {
        if self.is_full() {
            return Ok(false);
        }
        let Some(entry) = self.entries.get(self.seen) else { return Ok(false) };
        let DataFile { version, table } = self.first.take().map_or_else(|| self.set.open(entry), Ok)?;
        let same = self.shape.check(table.schema(), entry, &self.model.path);
        same.map_err(|error| self.set.about(error))?;
        self.take(table.as_ref(), &Arc::new(version));
        self.seen += 1;
        Ok(true)
    }

    /// The data set's name.
    pub fn data(&self) -> &str {
        self.set.name()
    }

    /// What is asked for.
    pub const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// How many files there are.
    pub const fn files(&self) -> usize {
        self.entries.len()
    }

    /// Whether pieces were found since [`Survey::new_pieces`] was last asked for.
    pub const fn has_new_pieces(&self) -> bool {
        !self.found.pieces.is_empty()
    }

    /// The pieces that were found since this was last asked for.
    pub fn new_pieces(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.found.pieces)
    }

    /// Rows and bytes as a `FlightInfo` has them: -1 where nobody knows.
    pub fn totals(&self) -> (i64, i64) {
        let bytes = self.found.bytes.and_then(|bytes| i64::try_from(bytes).ok());
        (i64::try_from(self.found.rows).unwrap_or(-1), bytes.unwrap_or(-1))
    }

    fn is_full(&self) -> bool {
        self.seen > 0 && self.selection.limit.is_some_and(|limit| self.found.rows >= limit)
    }

    fn take(&mut self, table: &dyn Source, file: &Arc<Version>) {
        let (mut read, before) = (Some(0_u64), self.found.rows);
        for (part, size) in table.parts().iter().enumerate() {
            let left = self.selection.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.found.rows));
            let rows = size.rows.min(left);
            if rows > 0 {
                self.found.rows = self.found.rows.saturating_add(rows);
                self.found.pieces.push(Piece { file: Arc::clone(file), part, rows });
                read = read
                    .zip(table.bytes(part, self.shape.columns()))
                    .map(|(before, bytes)| before.saturating_add(bytes));
            }
        }
        let whole = self.shape.reads_all() && self.found.rows.saturating_sub(before) == table.rows();
        let bytes = if whole { Some(table.fingerprint().len) } else { read };
        self.found.bytes = self.found.bytes.zip(bytes).map(|(before, bytes)| before.saturating_add(bytes));
    }
}
