//! Tables whose records are lines of text, and come back as such: as they came, or with chosen cells alone, and the new ones behind.

use arrow::datatypes::Schema;

use crate::Result;
use crate::format::TableFormat;
use crate::sink::chosen::{ChosenCells, ChosenKeys};
use crate::sink::lines::{CsvEncoder, JsonEncoder, LineEncoder};
use crate::source::json::KeptKeys;
use crate::table::{Columns, ScoreOptions, ScorePlan};

/// What becomes of records.
pub struct LinePlan {
    /// Of the new columns alone.
    pub plan: ScorePlan,
    /// Writes them.
    pub encoder: Box<dyn LineEncoder>,
    /// Names that records may not have.
    pub taken: Vec<String>,
}

impl LinePlan {
    /// That of a table of this format and these columns.
    ///
    /// # Errors
    /// As [`ScorePlan::new`].
    pub fn new(format: TableFormat, schema: &Schema, options: &ScoreOptions, classes: &[String]) -> Result<Self> {
        let whole = ScorePlan::new(schema, options, classes)?;
        let plan = ScorePlan::new(schema, &ScoreOptions { columns: Columns::New, ..options.clone() }, classes)?;
        let names: Vec<String> = plan.new_fields().iter().map(|field| field.name().clone()).collect();
        let is_whole = options.columns == Columns::All;
        let taken = if is_whole { names.clone() } else { Vec::new() };
        let kept = whole.kept_columns().to_vec();
        let encoder: Box<dyn LineEncoder> = match (format.delimiter(), is_whole) {
            (Some(delimiter), true) => Box::new(CsvEncoder { delimiter, names }),
            (Some(delimiter), false) => Box::new(ChosenCells { delimiter, kept, names }),
            (None, true) => Box::new(JsonEncoder::new(&names)),
            (None, false) => {
                let kept = kept.into_iter().map(|column| schema.field(column).name().clone());
                Box::new(ChosenKeys::new(KeptKeys::new(kept.collect(), &whole.text_set(schema)), &names))
            }
        };
        Ok(Self { plan, encoder, taken })
    }
}
