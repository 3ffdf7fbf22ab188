//! What became of each file, for machines: a JSON object that is written file by file, however many there are.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::inputs::Pair;
use super::summary::Summary;
use crate::sink::WORK;
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
        /// Rows of it.
        rows: u64,
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

/// A report that is being written. Dropped without [`OutcomeWriter::finish`] it takes what was written away.
#[derive(Debug)]
pub struct OutcomeWriter {
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
    is_first: bool,
}

impl OutcomeWriter {
    /// Begins the report that will be at `path`.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(WORK);
        let unfinished = PathBuf::from(unfinished);
        let file = File::create(&unfinished).map_err(|cause| Error::file(path, cause))?;
        let mut writer = Self { path: path.to_owned(), unfinished, file: BufWriter::new(file), is_first: true };
        writer.write("{\"files\":[")?;
        Ok(writer)
    }

    /// Takes note of what became of a file, after so much time.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn add(&mut self, pair: &Pair, outcome: &FileOutcome, took: Duration) -> Result<()> {
        let entry = Entry {
            input: pair.input.display().to_string(),
            output: pair.output.display().to_string(),
            outcome,
            seconds: took.as_secs_f64(),
        };
        let separator = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        let line = json(&entry)?;
        self.write(separator)?;
        self.write(&line)
    }

    /// Ends the report with what was done in all, and gives it its name.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn finish(mut self, summary: &Summary) -> Result<()> {
        let summary = json(summary)?;
        self.write(&format!("\n],\n\"summary\":{summary}}}\n"))?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.and_then(|()| fs::rename(&self.unfinished, &self.path)).map_err(|cause| Error::file(&self.path, cause))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|cause| Error::file(&self.path, cause))
    }
}

impl Drop for OutcomeWriter {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::Failed(format!("no report: {cause}")))
}
