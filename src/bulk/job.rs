//! A file from input to output.
//!
//! ```text
//!  decoder thread ──texts──▶ score_batches ──columns──▶ writer thread ──▶ journal
//!                                          journal of an earlier run ──▶ output ──rename──▶ its name
//! ```
//!
//! Every arrow holds a bounded number of rows. What is being written lies in a folder beside the output, whose journal has the scores
//! that are made: whatever ends a run, the next goes on from there, and only a complete output gets its name.

mod feed;
mod finished;
mod formats;
mod opened;
mod output;
mod sample;
mod writing;

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Fields;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::info;

use self::feed::Feed;
use self::opened::Begun;
pub use self::opened::OpenedInput;
use self::output::OutputPlace;
pub use self::sample::{FileSample, RowSample, SampleBound};
use self::writing::Writing;
use super::journal::{CommitEvery, FileLog, Journal};
use super::progress::FileProgress;
use super::tally::Tally;
use crate::classifier::ModelFacts;
use crate::format::TableFormat;
use crate::identity::JobIdentity;
use crate::panics::{blocking, joined};
use crate::sink::Target;
use crate::source::CHANGED;
use crate::source::sequential::STANDARD;
use crate::stream::{InFlight, TextScorer};
use crate::table::ScoreOptions;
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
    /// The format of what has no name that says it.
    pub format: Option<TableFormat>,
    /// Leaves outputs alone that are there, whoever made them.
    pub skip_existing: bool,
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
        /// Rows of it, where that is known without reading them.
        rows: Option<u64>,
    },
}

/// Scores one file. Dropping the future leaves no output, and an output that was there as it was; what went to standard output is
/// gone.
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
    if output == Path::new(STANDARD) {
        let destination = OutputPlace { path: output.to_owned(), destination: Box::new(stdout()) };
        return score_into(model, opened, destination, None, options, progress).await;
    }
    if options.skip_existing && output.is_file() {
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let target = target(output).await?;
    // A journal of another job is not dropped for an output that is there.
    let journal = journal(&target, (opened.identity().cloned(), opened.new_fields().clone()), options).await?;
    // Asked once no other run can be at it.
    if opened.is_finished(output).await? {
        target.discard();
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let destination = OutputPlace { path: target.path().to_owned(), destination: Box::new(target.file()?) };
    let watch = Arc::new(opened.watch());
    let scored = score_into(model, opened, destination, journal, options, progress).await;
    let asked = Arc::clone(&watch);
    match blocking(move || asked.has_changed()).await {
        // What was scored of another file is of no use.
        Ok(true) => {
            target.discard();
            return Err(Error::file(watch.path(), CHANGED));
        }
        Ok(false) => {}
        // What went wrong before says more than that the file cannot be asked.
        Err(unknown) => return Err(scored.err().unwrap_or(unknown)),
    }
    match scored {
        Ok(done) => blocking(move || target.commit()).await.map(|()| done),
        Err(error) if is_lasting(&error) => {
            target.discard();
            Err(of_file(watch.path(), error))
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
    destination: OutputPlace,
    journal: Option<Journal>,
    options: &JobOptions,
    progress: &FileProgress<'_>,
) -> Result<Done> {
    let path = destination.path.clone();
    let resumed = journal.as_ref().map_or(0, Journal::rows);
    if resumed > 0 {
        info!("{}: {resumed} rows are scored already", path.display());
    }
    progress.resume(resumed);
    let (steps, incoming) = mpsc::channel(BATCHES_BEHIND);
    let Begun { way, reader, pieces, input, known } = opened.begin(resumed)?;
    let writing = Writing {
        way,
        destination,
        input: input.display().to_string(),
        journal,
        tally: Tally::new(&model.facts.info.labels, options.truth.is_some()),
    };
    let writer = spawn_blocking(move || writing.write(incoming));
    let feed = Feed { steps, progress, resumed };
    let fed = feed.run(&model.scorer, reader, options.in_flight, pieces, known).await;
    if fed.is_err() {
        // A writer whom nobody can tell more gives up, even where it copies still and was told all.
        drop(feed);
    }
    let written = joined(writer).await;
    fed?;
    let tally = written.map_err(|error| named(&path, error))?;
    Ok(Done::Scored { tally: Box::new(tally), resumed })
}

/// The journal of an earlier run, or an empty one; none for a job that nobody could go on with.
async fn journal(
    target: &Target,
    (identity, fields): (Option<JobIdentity>, Fields),
    options: &JobOptions,
) -> Result<Option<Journal>> {
    let Some(identity) = identity else { return Ok(None) };
    let log = FileLog::new(&target.journal_path(), target.journal()?);
    let (every, force) = (options.commit_every, options.force);
    blocking(move || Journal::open(Box::new(log), &identity, &fields, every, force).map(Some)).await
}

/// A row that has no score or is no text, with the file that it is in.
fn of_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Unscorable { .. } | Error::NotText { .. } => Error::file(path, error),
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
