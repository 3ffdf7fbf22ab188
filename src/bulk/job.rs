//! A file from input to output.
//!
//! ```text
//!  decoder thread ──texts──▶ score_batches ──columns──▶ writer thread ──▶ journal
//!                                          journal of an earlier run ──▶ output ──rename──▶ its name
//! ```
//!
//! Every arrow holds a bounded number of rows. What is being written lies in a folder beside the output, whose journal has the scores
//! that are made: whatever ends a run, the next goes on from there, and only a complete output gets its name.

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
use super::table::Watch;
use super::tally::Tally;
use crate::classifier::ModelFacts;
use crate::format::TableFormat;
use crate::identity::JobIdentity;
use crate::panics::{blocking, joined};
use crate::source::CHANGED;
use crate::store::{FileLocation, Stores};
use crate::stream::{InFlight, TextScorer};
use crate::table::ScoreOptions;
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
    output: &FileLocation,
    options: &JobOptions,
    progress: &FileProgress<'_>,
) -> Result<Done> {
    if *output == FileLocation::Standard {
        let destination = OutputPlace { path: output.name(), destination: Box::new(stdout()) };
        return score_into(model, opened, destination, None, options, progress).await;
    }
    if options.skip_existing && is_there(output, &options.stores).await? {
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let mut target = Target::begin(output, &options.stores).await?;
    // A journal of another job is not dropped for an output that is there.
    let journal = journal(&target, (opened.identity().cloned(), opened.new_fields().clone()), options).await?;
    // Asked once no other run can be at it.
    if opened.is_finished(output, &options.stores).await? {
        target.discard().await;
        return Ok(Done::Skipped { rows: opened.rows() });
    }
    let destination = target.destination(opened.bytes())?;
    let destination = OutputPlace { path: target.path().to_owned(), destination };
    let watch = Arc::new(opened.watch());
    let scored = score_into(model, opened, destination, journal, options, progress).await;
    let asked = Arc::clone(&watch);
    match blocking(move || asked.has_changed()).await {
        // What was scored of another file is of no use.
        Ok(true) => {
            target.discard().await;
            return Err(Error::file(watch.path(), CHANGED));
        }
        Ok(false) => {}
        // What went wrong before says more than that the file cannot be asked.
        Err(unknown) => return Err(scored.err().unwrap_or(unknown)),
    }
    match scored {
        Ok(done) => target.commit().await.map(|()| done),
        Err(error) if is_lasting(&error) => {
            target.discard().await;
            Err(of_row(&watch, error))
        }
        Err(error) => Err(error),
    }
}

/// Whether an output is there, whoever made it.
async fn is_there(output: &FileLocation, stores: &Stores) -> Result<bool> {
    match output {
        FileLocation::Path(path) => Ok(path.is_file()),
        FileLocation::Object(url) => match stores.head(url).await {
            Err(Error::NotFound(_)) => Ok(false),
            found => found.map(|_| true),
        },
        FileLocation::Standard => Ok(false),
    }
}

/// Whether the same run would fail again, so that nobody needs what it has done.
const fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::NotText { .. } | Error::Unscorable { .. } | Error::Invalid(_))
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
    let (every, force) = (options.commit_every, options.force);
    // Of a target in a store this blocks, and is done where that may be.
    let log = target.log(force)?;
    blocking(move || Journal::open(log, &identity, &fields, every, force).map(Some)).await
}

/// A row that has no score or is no text, by its number in the file that it is in.
fn of_row(watch: &Watch, error: Error) -> Error {
    let placed = |row, error: fn(usize, String) -> Error, cause| {
        let (path, row) = watch.place(row);
        Error::file(&path, error(row, cause))
    };
    match error {
        Error::Unscorable { row, cause } => placed(row, |row, cause| Error::Unscorable { row, cause }, cause),
        Error::NotText { row, cause } => placed(row, |row, cause| Error::NotText { row, cause }, cause),
        other => other,
    }
}

/// The same of a file that is known.
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
