//! What became of each file, for machines: a JSON object that is written file by file, however many there are.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::inputs::Pair;
use super::summary::Summary;
use super::whole_file::WholeFile;
use crate::{Error, Result};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum FileOutcome {
    /// Its output is there.
    Scored {
        /// Rows of it.
        rows: u64,
        /// Rows among them that an earlier run had scored.
        resumed: u64,
    },
    /// Its output was there, made by the same job.
    Skipped {
        /// Rows of it, where that is known without reading them.
        rows: Option<u64>,
    },
    /// It has no output.
    Failed {
        /// What kind of error that was.
        kind: &'static str,
        /// What people are told.
        error: String,
    },
}

impl FileOutcome {
    /// A file failed with this.
    pub fn failed(error: &Error) -> Self {
        Self::Failed { kind: error.kind().name(), error: error.to_string() }
    }
}

/// A line of the report.
#[derive(Serialize)]
struct Entry<'a> {
    input: String,
    output: String,
    #[serde(flatten)]
    outcome: &'a FileOutcome,
    seconds: f64,
}

/// A report that is being written. Dropped without [`OutcomeWriter::finish`] it leaves nothing.
#[derive(Debug)]
pub struct OutcomeWriter {
    file: WholeFile,
    is_first: bool,
}

impl OutcomeWriter {
    /// Begins the report that will be at `path`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let mut file = WholeFile::create("--report", path)?;
        file.write(format_args!("{{\"files\":["))?;
        Ok(Self { file, is_first: true })
    }

    /// Takes note of what became of a file, after so much time.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn add(&mut self, pair: &Pair, outcome: &FileOutcome, took: Duration) -> Result<()> {
        let entry = Entry {
            input: pair.input.to_string(),
            output: pair.output.to_string(),
            outcome,
            seconds: took.as_secs_f64(),
        };
        let separator = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        self.file.write(format_args!("{separator}{}", json(&entry)?))
    }

    /// Ends the report with what was done in all, and gives it its name.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn finish(mut self, summary: &Summary) -> Result<()> {
        self.file.write(format_args!("\n],\n\"summary\":{}}}\n", json(summary)?))?;
        self.file.finish()
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::Failed(format!("no report: {cause}")))
}
