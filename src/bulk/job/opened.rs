//! An input that can be scored as its job says.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use futures::stream::BoxStream;

use super::JobOptions;
use super::finished::is_finished;
use super::formats::{formats, formats_of_all};
use super::named;
use super::output::Rows;
use super::writing::Way;
use crate::bulk::inputs::{Pair, Pairs};
use crate::bulk::table::{ChangeWatch, InputTable, MergedTable, TablePiece, WantedColumns};
use crate::bulk::truth::Truth;
use crate::classifier::ModelFacts;
use crate::format::TableFormat;
use crate::identity::JobIdentity;
use crate::panics::blocking;
use crate::sink::{check_output, check_pair};
use crate::source::Source;
use crate::source::lines::Lines;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::source::strings_as_bytes;
use crate::store::{FileLocation, Stores};
use crate::stream::{KeyPlan, LinePlan};
use crate::table::{Columns, ScorePlan};
use crate::{Error, Result};

/// An input that can be scored as its job says.
pub struct OpenedInput {
    pub(super) table: InputTable,
    way: Way,
    pub(super) plan: Arc<ScorePlan>,
    wanted: WantedColumns,
    /// None where nobody could go on: standard input comes once.
    identity: Option<JobIdentity>,
}

/// A job that runs.
pub struct Begun {
    /// How its output is written.
    pub way: Way,
    /// Reads the texts of its pieces.
    pub reader: Arc<ScorePlan>,
    pub pieces: BoxStream<'static, Result<TablePiece>>,
    /// What its input is called.
    pub input: PathBuf,
    /// How many of the rows that come are known already.
    pub known: u64,
}

impl OpenedInput {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an option or a path that cannot be, and [`Error::File`] for a file that cannot be read.
    pub async fn open(pair: &Pair, options: &JobOptions, model: &ModelFacts) -> Result<Self> {
        let (pair, options, model) = (pair.clone(), options.clone(), model.clone());
        let path = pair.input.name();
        let opened = blocking(move || {
            let (table, formats) = match &pair.merged {
                Some(inputs) => merged(&pair, inputs, &options)?,
                None => {
                    check_places(&pair.input, &pair.output, &options.stores)?;
                    let formats = formats(&pair.input.name(), &pair.output.name(), options.format)?;
                    let named = options.score.named_texts();
                    let mut table = InputTable::open(&pair.input, &options.stores, formats.0, named, pair.share)?;
                    table.expect(&expected(&options));
                    (table, formats)
                }
            };
            Self::of(table, formats, &options, &model)
        });
        opened.await.map_err(|error| named(&path, error))
    }

    fn of(
        table: InputTable,
        formats: (TableFormat, TableFormat),
        options: &JobOptions,
        model: &ModelFacts,
    ) -> Result<Self> {
        let path = table.path().to_owned();
        let within = |error| match error {
            Error::Invalid(what) => Error::Invalid(format!("{}: {what}", path.display())),
            other => other,
        };
        let classes = &model.info.labels;
        let (way, plan, taken) = way(&table, formats, options, classes).map_err(within)?;
        way.check().map_err(within)?;
        let truth = options.truth.as_deref().map(|name| Truth::find(&truth_schema(&table), name, classes));
        let truth = truth.transpose().map_err(within)?;
        if truth.is_some() && !plan.has_one_label_a_row() {
            return Err(Error::Invalid("a truth column needs one text a row: name one text column".to_owned()));
        }
        let identity = table
            .identity()
            .map(|input| JobIdentity::new(input, model, (&options.score, options.truth.as_deref(), formats.1), &plan));
        let wanted = WantedColumns {
            inputs: plan.inputs(),
            texts: plan.text_columns().collect(),
            truth,
            taken,
            batch_rows: options.batch_rows,
            is_typed: matches!(way, Way::Whole { rows: Rows::Batches(_), .. }),
        };
        let mut opened = Self { table, way, plan: Arc::new(plan), wanted, identity };
        opened.table.begin(&opened.wanted)?;
        opened.mark()?;
        Ok(opened)
    }

    /// Has new chunks say how they were made.
    fn mark(&mut self) -> Result<()> {
        if let (Way::Beside { marks, .. } | Way::Whole { marks, .. }, Some(identity)) = (&mut self.way, &self.identity)
        {
            *marks = identity.marks()?;
        }
        Ok(())
    }

    /// Rows that it has, where that is known.
    pub fn rows(&self) -> Option<u64> {
        self.table.rows()
    }

    /// About how many bytes its output will have, if anybody knows.
    pub fn bytes(&self) -> Option<u64> {
        self.table.bytes()
    }

    /// What tells whether it has changed.
    pub fn watch(&self) -> ChangeWatch {
        self.table.watch()
    }

    /// What the job is, if another run can go on with it.
    pub const fn identity(&self) -> Option<&JobIdentity> {
        self.identity.as_ref()
    }

    /// The columns that it makes.
    pub fn new_fields(&self) -> &Fields {
        self.plan.new_fields()
    }

    /// Whether the same job has made its output, as far as that is known.
    ///
    /// # Errors
    /// [`Error::Failed`] when the output cannot be looked at.
    pub fn is_finished(
        &self,
        output: &FileLocation,
        stores: &Stores,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let marks = match &self.way {
            Way::Beside { marks, .. } | Way::Whole { marks, format: TableFormat::Parquet, .. } => marks.clone(),
            Way::Lines { .. } | Way::Whole { .. } => Marks::new(),
        };
        let (output, stores) = (output.clone(), stores.clone());
        blocking(move || Ok(!marks.is_empty() && is_finished(&output, &stores, &marks)))
    }

    /// Begins to read behind the rows that are scored already, if they can be passed over.
    ///
    /// # Errors
    /// [`Error::Failed`] where columns are missing.
    pub fn begin(self, resumed: u64) -> Result<Begun> {
        let Self { table, mut way, plan, wanted, .. } = self;
        let mut reader = plan.as_ref().clone().of_inputs();
        if matches!(&way, Way::Whole { rows: Rows::Batches(_), .. }) {
            let raw = strings_as_bytes(table.schema(), plan.text_columns()).project(&wanted.inputs);
            reader = reader.reading(&raw.map_err(|cause| Error::Failed(format!("columns are missing: {cause}")))?);
        }
        let reader = Arc::new(reader);
        let mut from_row = 0;
        match &mut way {
            Way::Beside { file, .. } => {
                from_row = resumed;
                keep_passing(file, &wanted, resumed);
            }
            Way::Whole { rows: Rows::Batches(plan), .. } => *plan = Arc::clone(&reader),
            Way::Whole { rows: Rows::Keys(_), .. } => {}
            Way::Lines { names, .. } => *names = table.names().cloned().unwrap_or_default(),
        }
        let input = table.path().to_owned();
        let pieces = table.read(wanted, from_row);
        Ok(Begun { way, reader, pieces, input, known: resumed - from_row })
    }
}

/// Columns that the job names beside those that are scored.
fn expected(options: &JobOptions) -> Vec<&str> {
    options.score.named_columns().iter().chain(&options.truth).map(String::as_str).collect()
}

/// What is read of an object is kept as the copy of all of it passes, so that it gives each byte once.
fn keep_passing(file: &ParquetFile, wanted: &WantedColumns, from_row: u64) {
    let mut before = 0;
    let ends = file.parts().iter().map(|part| {
        before += part.rows;
        before
    });
    let first = ends.take_while(|end| *end <= from_row).count();
    let mut columns = wanted.inputs.clone();
    columns.extend(wanted.truth.as_ref().map(Truth::index));
    file.keep_passing(first..file.parts().len(), &columns);
}

/// All inputs as one table.
fn merged(pair: &Pair, inputs: &Arc<Pairs>, options: &JobOptions) -> Result<(InputTable, (TableFormat, TableFormat))> {
    inputs.inputs().try_for_each(|input| check_places(&input, &pair.output, &options.stores))?;
    let formats = formats_of_all(inputs, &pair.output.name(), options.format)?;
    let (label, named) = (pair.input.name(), options.score.named_texts());
    let table = MergedTable::open(Arc::clone(inputs), &label, &options.stores, formats.0, named)?;
    Ok((InputTable::Merged(Box::new(table)), formats))
}

/// Fails unless the output can be written, as far as names tell, and is not the input.
fn check_places(input: &FileLocation, output: &FileLocation, stores: &Stores) -> Result<()> {
    match (input, output) {
        (FileLocation::Path(input), FileLocation::Path(output)) => check_pair(input, output),
        (_, FileLocation::Path(output)) => check_output(output).map(drop),
        (FileLocation::Object(one), FileLocation::Object(other)) if one.below(other) == Some("") => {
            Err(Error::Invalid(format!("-o {other} is the input {one}: name another object")))
        }
        (_, FileLocation::Object(url)) => stores.check_writable(url),
        (_, FileLocation::Standard) => Ok(()),
    }
}

/// How the output is written, what is planned, and names that records may not have.
fn way(
    table: &InputTable,
    (read, written): (TableFormat, TableFormat),
    options: &JobOptions,
    classes: &[String],
) -> Result<(Way, ScorePlan, Vec<String>)> {
    let (schema, score) = (table.schema(), &options.score);
    if let (InputTable::Parquet(file), TableFormat::Parquet, Columns::All) = (table, written, &score.columns) {
        let plan = ScorePlan::beside(schema, score, classes)?;
        let way = Way::Beside { file: Arc::clone(file), plan: Arc::new(plan.clone()), marks: Marks::new() };
        return Ok((way, plan, Vec::new()));
    }
    if read.is_lines() && read == written {
        let LinePlan { plan, encoder, taken } = LinePlan::new(read, schema, score, classes)?;
        return Ok((Way::Lines { encoder, names: Lines::default() }, plan, taken));
    }
    if read == TableFormat::JsonLines {
        let keys = KeyPlan::new(schema, score, classes)?;
        let (plan, taken) = (keys.plan.clone(), keys.taken.clone());
        return Ok((Way::Whole { rows: Rows::Keys(keys), format: written, marks: Marks::new() }, plan, taken));
    }
    let plan = ScorePlan::new(schema, score, classes)?;
    let rows = Rows::Batches(Arc::new(plan.clone()));
    Ok((Way::Whole { rows, format: written, marks: Marks::new() }, plan, Vec::new()))
}

/// What a truth column is looked for in: cells and values are texts, whatever they say.
fn truth_schema(table: &InputTable) -> SchemaRef {
    if !table.is_lines() {
        return Arc::clone(table.schema());
    }
    let fields = table.schema().fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}
