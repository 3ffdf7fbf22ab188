//! The text column out of a record batch, and the score columns back in.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde::Deserialize;

use crate::classifier::Scores;
use crate::{Error, Result};

mod text;

pub use text::{is_bytes, is_string};

use text::texts;

/// What a client may ask for, as the JSON of a Flight command and as flags of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreOptions {
    /// The column to score; without it the only string column.
    pub text: Option<String>,
    /// How `label` names a class.
    pub labels: LabelKind,
    /// Adds `tokens` and `truncated`.
    pub details: bool,
    /// Adds `probabilities`.
    pub probabilities: bool,
    /// The name of the label's column.
    pub label_column: String,
    /// The name of the confidence's column.
    pub confidence_column: String,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self {
            text: None,
            labels: LabelKind::Name,
            details: false,
            probabilities: false,
            label_column: "label".to_owned(),
            confidence_column: "confidence".to_owned(),
        }
    }
}

/// How `label` names a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// By its name in the checkpoint: a string.
    #[default]
    Name,
    /// By its number: an int64.
    Id,
}

impl ScoreOptions {
    /// Reads the command of a Flight descriptor: a JSON object, or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the option.
    pub fn from_command(command: &[u8]) -> Result<Self> {
        let command = command.trim_ascii();
        if command.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |cause: String| Error::Invalid(format!("the command is not a JSON object of options: {cause}"));
        if !command.starts_with(b"{") {
            // serde would read a struct from a list as well.
            return Err(wrong("it does not start with a brace".to_owned()));
        }
        serde_json::from_slice(command).map_err(|e| wrong(e.to_string()))
    }
}

/// What is to be done with the batches of one schema.
#[derive(Debug, Clone)]
pub struct ScorePlan {
    text: usize,
    labels: LabelKind,
    details: bool,
    probabilities: bool,
    classes: Vec<String>,
    new_fields: Fields,
    schema: SchemaRef,
}

impl ScorePlan {
    /// Finds the text column of `schema` and the columns to append, for a model with these class names.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such column, more than one that could be meant, or a name is taken.
    pub fn new(schema: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let text = find_text(schema, options.text.as_deref())?;
        let new_fields = new_fields(options, classes.len());
        check_names(schema, &new_fields)?;
        let fields: Vec<FieldRef> = schema.fields().iter().chain(&new_fields).cloned().collect();
        Ok(Self {
            text,
            labels: options.labels,
            details: options.details,
            probabilities: options.probabilities,
            classes: classes.to_vec(),
            new_fields,
            schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())),
        })
    }

    /// Where the text column is.
    pub const fn text_index(&self) -> usize {
        self.text
    }

    /// The appended fields.
    pub const fn new_fields(&self) -> &Fields {
        &self.new_fields
    }

    /// The input's schema with the appended fields, its metadata as it was.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The texts of the text column.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the column cannot be read as text, [`Error::NotText`] that names the row of bytes that are none.
    pub fn texts(&self, column: &ArrayRef) -> Result<StringViewArray> {
        texts(self.schema.field(self.text).name(), column)
    }

    /// The columns to append, in the order of [`ScorePlan::new_fields`].
    ///
    /// # Errors
    /// [`Error::Failed`] when the scores are of another model.
    pub fn columns(&self, scores: &Scores) -> Result<Vec<ArrayRef>> {
        if scores.classes() != self.classes.len() {
            return Err(Error::Failed(format!("{} classes, expected {}", scores.classes(), self.classes.len())));
        }
        let mut columns = vec![self.label_column(scores), confidence_column(scores)];
        if self.details {
            let nulls = scores.nulls_buffer();
            columns.push(Arc::new(Int32Array::new(scores.tokens().to_vec().into(), nulls.clone())));
            columns.push(Arc::new(BooleanArray::new(scores.truncated(), nulls)));
        }
        if self.probabilities {
            columns.push(probabilities_column(scores, self.new_fields.len() - 1, &self.new_fields)?);
        }
        Ok(columns)
    }

    /// The batch with the columns appended.
    ///
    /// # Errors
    /// [`Error::Failed`] when scores and batch do not belong together.
    pub fn append(&self, batch: &RecordBatch, scores: &Scores) -> Result<RecordBatch> {
        let columns = batch.columns().iter().cloned().chain(self.columns(scores)?).collect();
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|e| Error::Failed(format!("cannot append the scores: {e}")))
    }

    fn label_column(&self, scores: &Scores) -> ArrayRef {
        let labels = (0..scores.len()).map(|row| scores.label(row));
        match self.labels {
            LabelKind::Name => Arc::new(StringArray::from_iter(labels.map(|l| l.map(|l| self.classes[l].as_str())))),
            LabelKind::Id => Arc::new(Int64Array::from_iter(labels.map(|l| l.map(|l| l as i64)))),
        }
    }
}

fn confidence_column(scores: &Scores) -> ArrayRef {
    Arc::new(Float32Array::from_iter((0..scores.len()).map(|row| scores.confidence(row))))
}

fn probabilities_column(scores: &Scores, index: usize, fields: &Fields) -> Result<ArrayRef> {
    let DataType::FixedSizeList(item, width) = fields[index].data_type() else {
        return Err(Error::Failed("probabilities are not a list".to_owned()));
    };
    let values = Arc::new(Float32Array::from(scores.probabilities().to_vec()));
    FixedSizeListArray::try_new(Arc::clone(item), *width, values, scores.nulls_buffer())
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|e| Error::Failed(format!("cannot build the probabilities: {e}")))
}

fn new_fields(options: &ScoreOptions, classes: usize) -> Fields {
    let label = match options.labels {
        LabelKind::Name => DataType::Utf8,
        LabelKind::Id => DataType::Int64,
    };
    let mut fields = vec![
        Field::new(&options.label_column, label, true),
        Field::new(&options.confidence_column, DataType::Float32, true),
    ];
    if options.details {
        fields.push(Field::new("tokens", DataType::Int32, true));
        fields.push(Field::new("truncated", DataType::Boolean, true));
    }
    if options.probabilities {
        let width = i32::try_from(classes).unwrap_or(i32::MAX);
        let item = Field::new("item", DataType::Float32, false);
        fields.push(Field::new("probabilities", DataType::FixedSizeList(Arc::new(item), width), true));
    }
    fields.into()
}

fn find_text(schema: &Schema, wanted: Option<&str>) -> Result<usize> {
    let strings = || {
        let names: Vec<_> =
            schema.fields().iter().filter(|f| is_string(f.data_type())).map(|f| f.name().as_str()).collect();
        if names.is_empty() { format!("there is none; columns: {}", list(schema)) } else { names.join(", ") }
    };
    let matches = |f: &Field| wanted.map_or_else(|| is_string(f.data_type()), |name| f.name() == name);
    let mut found = schema.fields().iter().enumerate().filter(|(_, f)| matches(f));
    match (found.next(), found.next(), wanted) {
        (Some((i, f)), None, _) if is_string(f.data_type()) || *f.data_type() == DataType::Null => Ok(i),
        // Only where it is named: most columns of bytes are no texts.
        (Some((i, f)), None, Some(_)) if is_bytes(f.data_type()) => Ok(i),
        (Some((_, f)), None, _) => Err(Error::Invalid(format!(
            "column {:?} is {}, not text; string columns: {}",
            f.name(),
            f.data_type(),
            strings()
        ))),
        (None, _, Some(name)) => {
            Err(Error::Invalid(format!("column {name:?} not found; string columns: {}", strings())))
        }
        (None, _, None) => {
            Err(Error::Invalid(format!("no string column; columns: {}{}", list(schema), bytes_hint(schema))))
        }
        (Some(_), Some(_), Some(name)) => Err(Error::Invalid(format!("more than one column is called {name:?}"))),
        (Some(_), Some(_), None) => Err(Error::Invalid(format!(
            "more than one string column: {}; name one with \"text\" (--text on the command line)",
            strings()
        ))),
    }
}

/// What to do about strings that nobody marked as some.
fn bytes_hint(schema: &Schema) -> &'static str {
    let any = schema.fields().iter().any(|field| is_bytes(field.data_type()));
    if any { "; bytes that are UTF-8 are scored where \"text\" (--text on the command line) names them" } else { "" }
}

fn list(schema: &Schema) -> String {
    let columns: Vec<_> = schema.fields().iter().map(|f| format!("{} ({})", f.name(), f.data_type())).collect();
    if columns.is_empty() { "none".to_owned() } else { columns.join(", ") }
}

fn check_names(schema: &Schema, new_fields: &Fields) -> Result<()> {
    for (i, field) in new_fields.iter().enumerate() {
        let name = field.name();
        if schema.fields().iter().any(|f| f.name() == name) {
            return Err(Error::Invalid(format!(
                "the input already has a column {name:?}; {}",
                match i {
                    0 => "choose another name with \"label_column\"",
                    1 => "choose another name with \"confidence_column\"",
                    _ => "rename it, or do not ask for the columns that would take its name",
                }
            )));
        }
        if new_fields.iter().skip(i + 1).any(|f| f.name() == name) {
            return Err(Error::Invalid(format!("two new columns would be called {name:?}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
