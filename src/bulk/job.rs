//! A file from input to output.
//!
//! ```text
//!  decoder thread ──texts──▶ score_batches ──columns──▶ writer thread ──▶ journal
//!                                          journal of an earlier run ──▶ output ──rename──▶ its name
//! ```
//!
//! Every arrow holds a bounded number of rows. What is being written lies in a folder beside the output (of an object: in parts that
//! nobody sees), whose journal has the scores that are made: whatever ends a run, the next goes on from there, and only a complete
//! output gets its name.

mod copying;
mod feed;
mod finished;
mod formats;
mod opened;
mod output;
mod sample;
mod target;
mod writing;

use std::io::stdout;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Fields;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::info;

use self::feed::Feed;
use self::opened::Begun;
pub use self::opened::OpenedInput;
use self::output::OutputPlace;
pub use self::sample::{FileSample, RowSample, SampleBound};
use self::target::Target;
use self::writing::Writing;
use super::journal::{CommitEvery, Journal};
use super::progress::FileProgress;
use super::table::ChangeWatch;
use crate::classifier::ModelFacts;
use crate::format::TableFormat;
use crate::identity::JobIdentity;
use crate::panics::{blocking, joined};
use crate::source::CHANGED;
use crate::store::{FileLocation, Stores};
use crate::stream::{InFlight, TextScorer};
use crate::table::ScoreOptions;
use crate::tally::Tally;
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
    /// Where objects are.
    pub stores: Stores,
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
    /// Its output is there, made by the same job, or by whomever if that was asked for.
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
    output: &FileLocation,
    options: &JobOptions,
    progress: &FileProgress<'_>,
) -> Result<Done> {
    let watch = Arc::new(opened.watch());
    if *output == FileLocation::Standard {
        let destination = OutputPlace { path: output.name(), destination: Box::new(stdout()) };
        let scored = score_into(model, opened, destination, None, options, progress).await;
        return judged(watch, scored).await.map_err(|failure| failure.error);
    }
    let target = Target::begin(output, &options.stores).await?;
    // Asked once no other run can be at it.
    if options.skip_existing && is_there(output, &options.stores).await? {
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    // A journal of another job is not dropped for an output that is there.
    let (target, journal) = journal(target, (opened.identity().cloned(), opened.new_fields().clone()), options).await?;
    if opened.is_finished(output, &options.stores).await? {
        target.discard().await;
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let (target, destination) = target.begin_output(opened.bytes()).await?;
    let destination = OutputPlace { path: target.path().to_owned(), destination };
    let scored = score_into(model, opened, destination, journal, options, progress).await;
    match judged(watch, scored).await {
        Ok(done) => target.commit().await.map(|()| done),
        Err(Failure { error, is_lasting }) => {
            if is_lasting {
                target.discard().await;
            }
            Err(error)
        }
    }
}

/// Why a file could not be scored.
struct Failure {
    error: Error,
    /// Whether the same run would fail again, or what it has done is of another file, so that nobody needs it.
    is_lasting: bool,
}

/// What became of a file, once it is known whether it is still what was read.
async fn judged(watch: Arc<ChangeWatch>, scored: Result<Done>) -> Result<Done, Failure> {
    let asked = Arc::clone(&watch);
    match (blocking(move || asked.has_changed()).await, scored) {
        (Ok(true), _) => Err(Failure { error: Error::file(watch.path(), CHANGED), is_lasting: true }),
        (Ok(false), Ok(done)) => Ok(done),
        (Err(unknown), Ok(_)) => Err(Failure { error: unknown, is_lasting: false }),
        // What went wrong before says more than that the file cannot be asked.
        (_, Err(error)) => {
            let is_lasting = is_of_rows(&error);
            Err(Failure { error: of_row(&watch, error), is_lasting })
        }
    }
}

/// Whether an output is there, whoever made it.
async fn is_there(output: &FileLocation, stores: &Stores) -> Result<bool> {
    match output {
        FileLocation::Path(path) => Ok(path.is_file()),
        FileLocation::Object(url) => stores.is_there(url).await,
        FileLocation::Standard => Ok(false),
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
    // Where both fail, it is the writer whom the reader fails after, unless it was only left alone.
    match (fed, joined(writer).await) {
        (Ok(()), Ok(tally)) => Ok(Done::Scored { tally: Box::new(tally), resumed }),
        (Err(error), Ok(_) | Err(Error::Cancelled(_))) => Err(error),
        (_, Err(error)) => Err(named(&path, error)),
    }
}

/// The journal of an earlier run in a target, or an empty one; none for a job that nobody could go on with.
async fn journal(
    target: Target,
    (identity, fields): (Option<JobIdentity>, Fields),
    options: &JobOptions,
) -> Result<(Target, Option<Journal>)> {
    let Some(identity) = identity else { return Ok((target, None)) };
    let (every, force) = (options.commit_every, options.force);
    blocking(move || {
        let journal = Journal::open(target.log()?, &identity, &fields, every, force)?;
        Ok((target, Some(journal)))
    })
    .await
}

/// Whether it is what the rows are that is wrong, and would be again.
const fn is_of_rows(error: &Error) -> bool {
    matches!(error, Error::Unscorable { .. } | Error::NotText { .. } | Error::Invalid(_) | Error::TooLarge(_))
}

/// What is wrong with rows, by their numbers in the file that they are in: no option was wrong, or it would not have been opened.
fn of_row(watch: &ChangeWatch, error: Error) -> Error {
    let placed = |row, error: fn(usize, String) -> Error, cause| {
        let (path, row) = watch.place(row);
        Error::file(&path, error(row, cause))
    };
    match error {
        Error::Unscorable { row, cause } => placed(row, |row, cause| Error::Unscorable { row, cause }, cause),
        Error::NotText { row, cause } => placed(row, |row, cause| Error::NotText { row, cause }, cause),
        other => of_file(watch.path(), other),
    }
}

/// The same of a file that is known.
fn of_file(path: &Path, error: Error) -> Error {
    if is_of_rows(&error) { Error::file(path, error) } else { error }
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
