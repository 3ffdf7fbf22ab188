//! Scores as columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef};

use super::layout::{Layout, listed};
use super::options::{LabelKind, OnError, ScoreOptions};
use crate::classifier::Scores;
use crate::{Error, Result};

/// Which columns are made of the scores of one text column.
#[derive(Debug, Clone)]
pub struct ScoreColumns {
    classes: Vec<String>,
    label_column: String,
    confidence_column: String,
    labels: LabelKind,
    details: bool,
    probabilities: bool,
    errors: bool,
}

impl ScoreColumns {
    /// Those that were asked for, of a model with these classes.
    pub fn new(options: &ScoreOptions, classes: &[String]) -> Self {
        Self {
            classes: classes.to_vec(),
            label_column: options.label_column.clone(),
            confidence_column: options.confidence_column.clone(),
            labels: options.labels,
            details: options.details,
            probabilities: options.probabilities,
            errors: options.on_error == OnError::Null,
        }
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Their fields. Names begin with `prefix`; `deep` is how many lists are around each text.
    pub fn fields(&self, prefix: &str, deep: usize) -> Vec<Field> {
        let field = |name: &str, values| Field::new(format!("{prefix}{name}"), listed(values, deep), true);
        let label = match self.labels {
            LabelKind::Name => DataType::Utf8,
            LabelKind::Id => DataType::Int64,
        };
        let mut fields = vec![field(&self.label_column, label), field(&self.confidence_column, DataType::Float32)];
        if self.details {
            fields.extend([field("tokens", DataType::Int32), field("truncated", DataType::Boolean)]);
        }
        if self.probabilities {
            fields.push(field("probabilities", self.probabilities_type()));
        }
        if self.errors {
            // Of a list as of a text: the first reason in it.
            fields.push(Field::new(format!("{prefix}error"), DataType::Utf8, true));
        }
        fields
    }

    /// The columns for rows laid out so, of which there are so many. `unreadable` is why texts have no scores besides those
    /// that the scores name.
    ///
    /// # Errors
    /// [`Error::Failed`] when the scores are of another model.
    pub fn arrays(
        &self,
        scores: &Scores,
        layout: &Layout,
        unreadable: &BTreeMap<usize, String>,
        rows: usize,
    ) -> Result<Vec<ArrayRef>> {
        if scores.classes() != self.classes.len() {
            return Err(Error::Failed(format!("{} classes, expected {}", scores.classes(), self.classes.len())));
        }
        let mut made = vec![self.label_array(scores), confidence_array(scores)];
        if self.details {
            let nulls = scores.nulls_buffer();
            made.push(Arc::new(Int32Array::new(scores.tokens().to_vec().into(), nulls.clone())));
            made.push(Arc::new(BooleanArray::new(scores.truncated(), nulls)));
        }
        if self.probabilities {
            made.push(self.probabilities_array(scores)?);
        }
        let arranged = made.into_iter().map(|array| layout.arrange(array));
        let errors = self.errors.then(|| Ok(error_array(scores, layout, unreadable, rows)));
        arranged.chain(errors).collect()
    }

    fn label_array(&self, scores: &Scores) -> ArrayRef {
        let labels = (0..scores.len()).map(|row| scores.label(row));
        match self.labels {
            LabelKind::Name => Arc::new(StringArray::from_iter(labels.map(|l| l.map(|l| self.classes[l].as_str())))),
            LabelKind::Id => Arc::new(Int64Array::from_iter(labels.map(|l| l.map(|l| l as i64)))),
        }
    }

    fn probabilities_type(&self) -> DataType {
        DataType::FixedSizeList(probability(), self.width())
    }

    fn width(&self) -> i32 {
        i32::try_from(self.classes.len()).unwrap_or(i32::MAX)
    }

    fn probabilities_array(&self, scores: &Scores) -> Result<ArrayRef> {
        let values = Arc::new(Float32Array::from(scores.probabilities().to_vec()));
        FixedSizeListArray::try_new(probability(), self.width(), values, scores.nulls_buffer())
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|e| Error::Failed(format!("cannot build the probabilities: {e}")))
    }
}

fn probability() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float32, false))
}

fn confidence_array(scores: &Scores) -> ArrayRef {
    Arc::new(Float32Array::from_iter((0..scores.len()).map(|row| scores.confidence(row))))
}

/// For each row the first reason why something in it has no score.
fn error_array(scores: &Scores, layout: &Layout, unreadable: &BTreeMap<usize, String>, rows: usize) -> ArrayRef {
    let missed = scores.missed();
    let mut errors = StringBuilder::with_capacity(rows, 0);
    if !missed.is_empty() || !unreadable.is_empty() {
        let reason = |text: usize| missed.get(&text).or_else(|| unreadable.get(&text));
        let reasons = layout.walk(scores.len()).filter_map(|(row, text)| Some((row, reason(text?)?)));
        for (row, reason) in reasons {
            if row >= errors.len() {
                errors.append_nulls(row - errors.len());
                errors.append_value(reason);
            }
        }
    }
    errors.append_nulls(rows - errors.len());
    Arc::new(errors.finish())
}
