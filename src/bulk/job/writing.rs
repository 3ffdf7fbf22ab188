//! The thread that writes, scores into the journal, then into the output, and what it is told.

use std::fs::File;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use arrow::array::ArrayRef;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::bulk::journal::Journal;
use crate::bulk::progress::FileProgress;
use crate::bulk::tally::{Place, Tally};
use crate::bulk::texts::Truths;
use crate::sink::Sink;
use crate::sink::parquet::Splice;
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::source::parquet::marks::Marks;
use crate::stream::Scored;
use crate::table::ScorePlan;
use crate::{Error, Result};

/// What the thread is told.
pub enum Step {
    /// The next rows.
    Rows(Scored<Truths>),
    /// There are no more.
    End,
}

/// All that it works on.
pub struct Writing {
    pub source: Arc<ParquetFile>,
    pub plan: Arc<ScorePlan>,
    /// Where the output will be.
    pub path: PathBuf,
    /// What is written to.
    pub file: File,
    /// What the new columns say of themselves.
    pub marks: Marks,
    pub journal: Journal,
    /// Of a file of which nothing is scored.
    pub tally: Tally,
}

impl Writing {
    /// Copies what the input has, adds what the journal has, and takes what comes. Without [`Step::End`] the journal alone is there.
    /// Blocks.
    pub fn write(mut self, mut incoming: mpsc::Receiver<Step>) -> Result<Tally> {
        if let Some(tally) = self.journal.tally()? {
            self.tally = tally;
        }
        let mut sink = self.begin(&incoming)?;
        self.journal.replay(|columns| sink.write(&columns))?;
        while let Some(step) = incoming.blocking_recv() {
            match step {
                Step::Rows(scored) => self.take(&scored, &mut *sink)?,
                Step::End => {
                    sink.finish()?;
                    return Ok(self.tally);
                }
            }
        }
        // A job that has just begun leaves nothing.
        if self.journal.rows() > 0 {
            self.journal.commit(&self.tally)?;
        }
        Err(Error::Cancelled("it was given up".to_owned()))
    }

    fn begin(&self, incoming: &mpsc::Receiver<Step>) -> Result<Box<dyn Sink>> {
        let text = self.plan.text_columns().next().unwrap_or_default();
        let file = self.file.try_clone().map_err(|cause| Error::file(&self.path, cause))?;
        let (source, fields) = (Arc::clone(&self.source), self.plan.new_fields());
        let splice = Splice::begin(source, fields, text, &self.path, file, || incoming.is_closed())?;
        Ok(Box::new(splice.marked(self.marks.clone())))
    }

    fn take(&mut self, scored: &Scored<Truths>, sink: &mut dyn Sink) -> Result<()> {
        let file = self.source.path().display().to_string();
        let first = Place { file: &file, row: self.tally.rows };
        self.tally.add(first, scored, &scored.rest);
        let columns: &[ArrayRef] = &scored.columns;
        self.journal.append(columns, &self.tally)?;
        sink.write(columns)
    }
}

/// Passes scored rows on to the writer, and says when there are no more. That nobody takes them is for the writer to explain.
///
/// # Errors
/// Those of scoring.
pub async fn pass_on(
    scored: impl Stream<Item = Result<Scored<Truths>>>,
    steps: &mpsc::Sender<Step>,
    progress: &FileProgress<'_>,
) -> Result<()> {
    let mut scored = pin!(scored);
    while let Some(scored) = scored.next().await.transpose()? {
        progress.advance(scored.batch.num_rows() as u64);
        if steps.send(Step::Rows(scored)).await.is_err() {
            return Ok(());
        }
    }
    let _ = steps.send(Step::End).await;
    Ok(())
}
