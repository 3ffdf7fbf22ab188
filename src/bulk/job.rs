//! A file, or several, from input to output.
//!
//! ```text
//!  decoder thread ──texts──▶ score_batches ──columns──▶ writer thread ──▶ temporary file ──rename──▶ output
//! ```
//!
//! Every arrow holds a bounded number of rows. The temporary file belongs to the future: whatever ends it (an error, a signal,
//! a panic) removes the file, and only a complete one gets the output's name.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::ArrayRef;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::progress::Progress;
use super::summary::{Run, Summary};
use super::tally::{Place, Tally};
use super::texts::{batches, within};
use super::truth::Truth;
use crate::classifier::ModelFacts;
use crate::engine::Engine;
use crate::panics::{blocking, blocking_while_awaited, joined};
use crate::sink::parquet::Splice;
use crate::sink::{Sink, Target, check_pair};
use crate::source::Source;
use crate::source::parquet::ParquetFile;
use crate::stream::{InFlight, Incoming, TextScorer, score_batches};
use crate::table::{ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// Scored batches that may wait for the writer.
const BATCHES_BEHIND: usize = 2;

/// What scores, and which model that is.
#[derive(Clone)]
pub struct ScoringModel {
    /// Whoever scores.
    pub scorer: Arc<dyn TextScorer>,
    /// Which model.
    pub facts: ModelFacts,
}

/// A Parquet file to score.
#[derive(Debug, Clone)]
pub struct FileJob {
    /// The file to read.
    pub input: PathBuf,
    /// The file to write, which is replaced if there is one.
    pub output: PathBuf,
    /// Which column is scored, and what is appended.
    pub options: ScoreOptions,
    /// A column with the right classes, to count how many labels agree.
    pub truth: Option<String>,
    /// How much may be on its way to its scores at once.
    pub in_flight: InFlight,
    /// How many rows are decoded at once, at most.
    pub batch_rows: usize,
}

/// Scores one file. Dropping the future leaves no output, and an output that was there as it was.
///
/// # Errors
/// [`crate::Error::Invalid`] for an option or a path that cannot be, [`crate::Error::File`] for a file that cannot be read or written,
/// and whatever scoring fails with.
pub async fn score_file(engine: Engine, job: &FileJob, progress: &Progress) -> Result<Summary> {
    let model = ModelFacts { info: engine.model().clone(), version: String::new() };
    let model = ScoringModel { scorer: Arc::new(engine), facts: model };
    score_files(&model, std::slice::from_ref(job), progress).await
}

/// Scores files, one after the other. All are looked at before the first is scored. On an error the files that are
/// done stay.
///
/// # Errors
/// As [`score_file`].
pub async fn score_files(model: &ScoringModel, jobs: &[FileJob], progress: &Progress) -> Result<Summary> {
    let started = Instant::now();
    let classes = &model.facts.info.labels;
    for job in jobs {
        let opened = Opened::open(job, classes).await?;
        progress.expect(1, Some(opened.source.data_len()));
    }
    let mut tally = Tally::new(classes, jobs.iter().any(|job| job.truth.is_some()));
    for job in jobs {
        tally.merge(&score_one(model, job, progress).await?);
    }
    progress.finish();
    Ok(Summary::new(tally, &Run { took: started.elapsed(), ..Run::default() }))
}

/// An input that can be scored as its job says.
struct Opened {
    source: Arc<ParquetFile>,
    plan: Arc<ScorePlan>,
    truth: Option<Truth>,
}

impl Opened {
    async fn open(job: &FileJob, classes: &[String]) -> Result<Self> {
        let (job, classes) = (job.clone(), classes.to_vec());
        let path = job.input.clone();
        let opened = blocking(move || {
            check_pair(&job.input, &job.output)?;
            let source = ParquetFile::open(&job.input)?;
            let schema = source.schema();
            let plan = ScorePlan::beside(schema, &job.options, &classes).map_err(|error| within(&source, error))?;
            let truth = job.truth.as_deref().map(|name| Truth::find(schema, name, &classes));
            let truth = truth.transpose().map_err(|error| within(&source, error))?;
            if truth.is_some() && !plan.has_one_label_a_row() {
                return Err(Error::Invalid("a truth column needs one text a row: name one text column".to_owned()));
            }
            Ok(Self { source: Arc::new(source), plan: Arc::new(plan), truth })
        });
        opened.await.map_err(|error| named(&path, error))
    }
}

async fn score_one(model: &ScoringModel, job: &FileJob, progress: &Progress) -> Result<Tally> {
    let classes = &model.facts.info.labels;
    let Opened { source, plan, truth } = Opened::open(job, classes).await?;
    let file_progress = progress.begin(source.data_len());
    file_progress.expect_rows(source.rows());
    let target = Target::create(&job.output)?;
    let sink = begin(&source, &plan, &target).await?;
    let (columns, incoming) = mpsc::channel(BATCHES_BEHIND);
    let writer = spawn_blocking(move || write(sink, incoming));
    let mut tally = Tally::new(classes, truth.is_some());
    let reader = Arc::new(plan.as_ref().clone().of_inputs());
    let table: Arc<dyn Source> = Arc::clone(&source) as _;
    let batches = batches(table, plan.inputs(), truth, job.batch_rows).map(|batch| {
        let (batch, truths) = batch?;
        Ok(Incoming { bytes: batch.get_array_memory_size(), rows: batch, rest: truths })
    });
    let file = source.path().display().to_string();
    let mut scored = pin!(score_batches(Arc::clone(&model.scorer), reader, job.in_flight, batches));
    while let Some(item) = scored.next().await {
        let scored = item.map_err(|error| of_file(&source, error))?;
        let first = Place { file: &file, row: tally.rows };
        tally.add(first, &scored, &scored.rest);
        file_progress.advance(scored.batch.num_rows() as u64);
        if columns.send(scored.columns).await.is_err() {
            // The writer has failed, and says below of what.
            break;
        }
    }
    drop(columns);
    joined(writer).await.map_err(|error| named(target.path(), error))?;
    source.check_unchanged()?;
    target.commit()?;
    file_progress.done();
    Ok(tally)
}

/// A row that has no score or is no text, with the file that it is in.
fn of_file(source: &ParquetFile, error: Error) -> Error {
    match error {
        Error::Unscorable { .. } | Error::NotText { .. } => Error::file(source.path(), error),
        other => other,
    }
}

/// Copies what the input has.
async fn begin(source: &Arc<ParquetFile>, plan: &Arc<ScorePlan>, target: &Target) -> Result<Box<dyn Sink>> {
    let (source, plan) = (Arc::clone(source), Arc::clone(plan));
    let (path, file) = (target.path().to_owned(), target.file()?);
    let text = plan.text_columns().next().unwrap_or_default();
    let begun = blocking_while_awaited(move |is_awaited| {
        let splice = Splice::begin(source, plan.new_fields(), text, &path, file, || !is_awaited())?;
        Ok(Box::new(splice) as Box<dyn Sink>)
    });
    begun.await.map_err(|error| named(target.path(), error))
}

/// Writes what comes until no more does.
fn write(mut sink: Box<dyn Sink>, mut incoming: mpsc::Receiver<Vec<ArrayRef>>) -> Result<()> {
    while let Some(columns) = incoming.blocking_recv() {
        sink.write(&columns)?;
    }
    sink.finish()
}

/// What is a fault of ours names the file that it came with, too.
fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Failed(cause) => Error::file(path, cause),
        other => other,
    }
}

#[cfg(test)]
mod tests;
