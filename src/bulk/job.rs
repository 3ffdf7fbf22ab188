//! A file from input to output.
//!
//! ```text
//!  decoder thread ──texts──▶ score_batches ──columns──▶ writer thread ──▶ journal
//!                                          journal of an earlier run ──▶ output ──rename──▶ its name
//! ```
//!
//! Every arrow holds a bounded number of rows. What is being written lies in a folder beside the output, whose journal has the scores
//! that are made: whatever ends a run, the next goes on from there, and only a complete output gets its name.

mod finished;
mod sample;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::info;

pub use self::sample::RowSample;
use self::writing::{Writing, pass_on};
use super::inputs::Pair;
use super::journal::{CommitEvery, FileLog, Journal};
use super::progress::FileProgress;
use super::tally::Tally;
use super::texts::{Reading, Truths, batches, within};
use super::truth::Truth;
use crate::classifier::ModelFacts;
use crate::identity::JobIdentity;
use crate::panics::{blocking, joined};
use crate::sink::{Target, check_pair};
use crate::source::parquet::ParquetFile;
use crate::source::{CHANGED, Source};
use crate::stream::{InFlight, Incoming, Scored, TextScorer, score_batches};
use crate::table::{ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// Scored batches that may wait for the writer.
const BATCHES_BEHIND: usize = 2;

/// How often a run looks whether another has ended that writes the same output.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What scores, and which model that is.
#[derive(Clone)]
pub struct ScoringModel {
    /// Whoever scores.
    pub scorer: Arc<dyn TextScorer>,
    /// Which model.
    pub facts: ModelFacts,
}

/// How files are scored.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Which column is scored, and what is appended.
    pub score: ScoreOptions,
    /// A column with the right classes, to count how many labels agree.
    pub truth: Option<String>,
    /// How much may be in the engine at once.
    pub in_flight: InFlight,
    /// How many rows are decoded at once, at most.
    pub batch_rows: usize,
    /// How much a killed run has to do again, at most, beside what was in the engine.
    pub commit_every: CommitEvery,
    /// Drops the journal of another job.
    pub force: bool,
}

/// What became of a file.
#[derive(Debug, Clone)]
pub enum Done {
    /// It is scored.
    Scored {
        /// What its rows counted.
        tally: Box<Tally>,
        /// Rows that an earlier run had scored.
        resumed: u64,
    },
    /// Its output is there, and was made by the same job.
    Skipped {
        /// Rows of it.
        rows: u64,
    },
}

/// An input that can be scored as its job says.
pub struct OpenedInput {
    source: Arc<ParquetFile>,
    plan: Arc<ScorePlan>,
    truth: Option<Truth>,
    identity: JobIdentity,
}

impl OpenedInput {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an option or a path that cannot be, and [`Error::File`] for a file that cannot be read.
    pub async fn open(pair: &Pair, options: &JobOptions, model: &ModelFacts) -> Result<Self> {
        let (pair, options, model) = (pair.clone(), options.clone(), model.clone());
        let path = pair.input.clone();
        let opened = blocking(move || {
            check_pair(&pair.input, &pair.output)?;
            let source = ParquetFile::open(&pair.input)?;
            let source = if pair.share.is_whole() {
                source
            } else {
                let groups = pair.share.row_groups(source.parts().len());
                source.excerpt(groups)?
            };
            Self::of(source, &options, &model)
        });
        opened.await.map_err(|error| named(&path, error))
    }

    fn of(source: ParquetFile, options: &JobOptions, model: &ModelFacts) -> Result<Self> {
        let (schema, classes) = (source.schema(), &model.info.labels);
        let plan = ScorePlan::beside(schema, &options.score, classes).map_err(|error| within(&source, error))?;
        let truth = options.truth.as_deref().map(|name| Truth::find(schema, name, classes));
        let truth = truth.transpose().map_err(|error| within(&source, error))?;
        if truth.is_some() && !plan.has_one_label_a_row() {
            return Err(Error::Invalid("a truth column needs one text a row: name one text column".to_owned()));
        }
        let identity = JobIdentity::new(
            (source.fingerprint(), Some(source.footer())),
            model,
            (&options.score, options.truth.as_deref()),
            &plan,
        );
        Ok(Self { source: Arc::new(source), plan: Arc::new(plan), truth, identity })
    }

    /// Rows that it has.
    pub fn rows(&self) -> u64 {
        self.source.rows()
    }
}

/// Scores one file. Dropping the future leaves no output, and an output that was there as it was.
///
/// # Errors
/// [`Error::Invalid`] for the journal of another job, [`Error::File`] for a file that cannot be read or written, and whatever the
/// scorer fails with.
pub(super) async fn score_file(
    model: &ScoringModel,
    opened: OpenedInput,
    output: &Path,
    options: &JobOptions,
    progress: &FileProgress<'_>,
) -> Result<Done> {
    let target = target(output).await?;
    // A journal of another job is not dropped for an output that is there.
    let journal = journal(&target, &opened, options).await?;
    // Asked once no other run can be at it.
    if opened.is_finished(output).await? {
        target.discard();
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let source = Arc::clone(&opened.source);
    let scored = score_into(model, opened, &target, journal, options, progress).await;
    let asked = Arc::clone(&source);
    match blocking(move || asked.has_changed()).await {
        // What was scored of another file is of no use.
        Ok(true) => {
            target.discard();
            return Err(source.error(CHANGED));
        }
        Ok(false) => {}
        // What went wrong before says more than that the file cannot be asked.
        Err(unknown) => return Err(scored.err().unwrap_or(unknown)),
    }
    match scored {
        Ok(done) => blocking(move || target.commit()).await.map(|()| done),
        Err(error) if is_lasting(&error) => {
            target.discard();
            Err(of_file(&source, error))
        }
        Err(error) => Err(error),
    }
}

/// Whether the same run would fail again, so that nobody needs what it has done.
const fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::NotText { .. } | Error::Unscorable { .. } | Error::Invalid(_))
}

/// The place of the output, once no other run has it.
async fn target(output: &Path) -> Result<Target> {
    let mut is_told = false;
    loop {
        let path: PathBuf = output.to_owned();
        match blocking(move || Target::create(&path)).await {
            Err(Error::Busy(what)) => {
                if !std::mem::replace(&mut is_told, true) {
                    info!("{what}: waiting for it to end");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            made => return made,
        }
    }
}

async fn score_into(
    model: &ScoringModel,
    opened: OpenedInput,
    target: &Target,
    journal: Journal,
    options: &JobOptions,
    progress: &FileProgress<'_>,
) -> Result<Done> {
    let resumed = journal.rows();
    if resumed > 0 {
        info!("{}: {resumed} of {} rows are scored already", target.path().display(), opened.rows());
    }
    progress.resume(resumed);
    let (steps, incoming) = mpsc::channel(BATCHES_BEHIND);
    let writing = Writing {
        source: Arc::clone(&opened.source),
        plan: Arc::clone(&opened.plan),
        path: target.path().to_owned(),
        file: target.file()?,
        marks: opened.identity.marks()?,
        journal,
        tally: Tally::new(&model.facts.info.labels, opened.truth.is_some()),
    };
    let writer = spawn_blocking(move || writing.write(incoming));
    let passed = pass_on(scored(model, opened, options, resumed), &steps, progress).await;
    if passed.is_err() {
        // A writer whom nobody can tell more gives up, even where it copies still and was told all.
        drop(steps);
    }
    let written = joined(writer).await;
    passed?;
    let tally = written.map_err(|error| named(target.path(), error))?;
    Ok(Done::Scored { tally: Box::new(tally), resumed })
}

/// The rows that are not scored yet, with their scores.
fn scored(
    model: &ScoringModel,
    opened: OpenedInput,
    options: &JobOptions,
    resumed: u64,
) -> impl Stream<Item = Result<Scored<Truths>>> + Send + use<> {
    let OpenedInput { source, plan, truth, .. } = opened;
    let reading = Reading { inputs: plan.inputs(), truth, batch_rows: options.batch_rows, from_row: resumed };
    let batches = batches(source as Arc<dyn Source>, reading).map(|batch| {
        let (batch, truths) = batch?;
        Ok(Incoming { bytes: batch.get_array_memory_size(), rows: batch, rest: truths })
    });
    let plan = Arc::new(Arc::unwrap_or_clone(plan).of_inputs());
    let before = usize::try_from(resumed).unwrap_or(usize::MAX);
    let scored = score_batches(Arc::clone(&model.scorer), plan, options.in_flight, batches);
    scored.map(move |scored| scored.map_err(|error| error.after_rows(before)))
}

/// The journal of an earlier run, or an empty one.
async fn journal(target: &Target, opened: &OpenedInput, options: &JobOptions) -> Result<Journal> {
    let log = FileLog::new(&target.journal_path(), target.journal()?);
    let (identity, fields) = (opened.identity.clone(), opened.plan.new_fields().clone());
    let (every, force) = (options.commit_every, options.force);
    blocking(move || Journal::open(Box::new(log), &identity, &fields, every, force)).await
}

/// A row that has no score or is no text, with the file that it is in.
fn of_file(source: &ParquetFile, error: Error) -> Error {
    match error {
        Error::Unscorable { .. } | Error::NotText { .. } => Error::file(source.path(), error),
        other => other,
    }
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
