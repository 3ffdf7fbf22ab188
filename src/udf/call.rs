//! One call: whether its arguments are what the function takes, and its results.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Schema};

use super::function::Function;
use super::signature::score_fields;
use crate::table::{Columns, ScoreOptions, ScorePlan, TextColumns, column_list, is_string};
use crate::{Error, Result};

/// What [`Function::Healthy`] says.
const HEALTHY: i32 = 1;

impl Function {
    /// How arguments of this schema are scored by a model with these class names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that it does not take. What they are called is as the caller likes.
    pub fn plan(self, arguments: &Schema, classes: &[String]) -> Result<ScorePlan> {
        let wrong = |takes| {
            Error::Invalid(format!("{} takes {takes}; its arguments were: {}", self.name(), column_list(arguments)))
        };
        if self == Self::Healthy {
            return if arguments.fields().is_empty() { Ok(ScorePlan::of_nothing()) } else { Err(wrong("no argument")) };
        }
        let [text] = &arguments.fields()[..] else { return Err(wrong("one argument, a text")) };
        if !is_string(text.data_type()) && *text.data_type() != DataType::Null {
            return Err(wrong("one argument, a text"));
        }
        let text = Some(TextColumns::one(text.name()));
        let options = ScoreOptions { text, columns: Columns::New, ..ScoreOptions::default() };
        ScorePlan::new(arguments, &options, classes)
    }

    /// The results for so many rows, of the columns that [`Function::plan`] made of their scores.
    ///
    /// # Errors
    /// [`Error::Failed`] when these are others.
    pub fn results(self, scores: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let wrong = |cause: &str| Error::Failed(format!("cannot build the results of {}: {cause}", self.name()));
        let column: ArrayRef = match (self, scores) {
            (Self::Label, [label, _]) => Arc::clone(label),
            (Self::Confidence, [_, confidence]) => Arc::clone(confidence),
            (Self::Score, [label, _]) => {
                // Where there is no label there is no score: no struct of nulls.
                let scores = StructArray::try_new(score_fields(), scores.to_vec(), label.logical_nulls());
                Arc::new(scores.map_err(|cause| wrong(&cause.to_string()))?)
            }
            (Self::Healthy, []) => Arc::new(Int32Array::from_value(HEALTHY, rows)),
            _ => return Err(wrong("they are made of other columns")),
        };
        RecordBatch::try_new(Arc::new(self.returns()), vec![column]).map_err(|cause| wrong(&cause.to_string()))
    }
}
