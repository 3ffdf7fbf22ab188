//! What an exchange is for: rows that come back with their scores, or a call of a function.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;

use crate::stream::Scored;
use crate::table::{ScoreOptions, ScorePlan};
use crate::udf::Function;
use crate::{Error, Result};

/// What an exchange is for.
#[derive(Debug)]
pub enum Purpose {
    /// Its rows come back with their scores.
    Table(ScoreOptions),
    /// A function is called: its results come back alone.
    Call(Function),
}

impl Purpose {
    /// As the descriptor of the first message says.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a descriptor that says nothing, [`Error::NotFound`] for a function that there is not.
    pub fn of(descriptor: Option<&FlightDescriptor>) -> Result<Self> {
        let descriptor = descriptor.ok_or_else(|| Error::Invalid("the first message has no descriptor".to_owned()))?;
        let path = match descriptor.r#type() {
            DescriptorType::Cmd => return ScoreOptions::from_command(&descriptor.cmd).map(Self::Table),
            DescriptorType::Path => &descriptor.path[..],
            DescriptorType::Unknown => &[],
        };
        let [name] = path else {
            return Err(Error::Invalid(format!(
                "DoExchange {COMMAND}, or, to call a function of SQL, a path descriptor of its name alone"
            )));
        };
        Function::named(name).map(Self::Call).map_err(|error| match error {
            Error::NotFound(cause) => Error::NotFound(format!("{cause}; to score a table, DoExchange {COMMAND}")),
            other => other,
        })
    }

    /// How batches of this schema are scored.
    ///
    /// # Errors
    /// [`Error::Invalid`] for those that cannot be.
    pub fn plan(&self, schema: &Schema, classes: &[String]) -> Result<ScorePlan> {
        match self {
            Self::Table(options) => ScorePlan::new(schema, options, classes),
            Self::Call(function) => function.plan(schema, classes),
        }
    }

    /// What comes back for a batch that was scored so.
    ///
    /// # Errors
    /// [`Error::Failed`] when plan and scores do not belong together.
    pub fn results<T>(&self, plan: &ScorePlan, scored: Scored<T>) -> Result<(RecordBatch, T)> {
        let Scored { batch, columns, rest, .. } = scored;
        let results = match self {
            Self::Table(_) => plan.append(&batch, columns)?,
            Self::Call(function) => function.results(&columns, batch.num_rows())?,
        };
        Ok((results, rest))
    }
}

const COMMAND: &str = "takes a command descriptor: FlightDescriptor.for_command(b\"{}\")";
