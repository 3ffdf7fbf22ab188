//! A run over many files: each is scored, skipped, or reported; what one of them lacks is no matter of the others.

use std::fs;
use std::time::Instant;

use super::inputs::{Pair, Pairs};
use super::job::{Done, JobOptions, OpenedInput, ScoringModel, score_file};
use super::outcomes::{FileOutcome, OutcomeWriter};
use super::progress::{FileProgress, Progress};
use super::summary::{self, Summary};
use crate::classifier::ModelFacts;
use crate::store::FileLocation;
use crate::tally::Tally;
use crate::{Error, Result};

/// Scores files, one after the other. Those that fail are told of and reported, and the others are scored.
///
/// # Errors
/// [`Error::Invalid`], before anything is scored, where the options are wrong for every file; the error of the only file; and
/// whatever ends the run as a whole: a scorer that is gone, a report that cannot be written.
pub async fn score_files(
    model: &ScoringModel,
    pairs: &Pairs,
    options: &JobOptions,
    report: Option<OutcomeWriter>,
    progress: &Progress,
) -> Result<Summary> {
    let mut run = Run {
        model,
        options,
        progress,
        report,
        tally: Tally::new(&model.facts.info.labels, options.truth.is_some()),
        counted: summary::Run::default(),
        refused: None,
        has_begun: false,
    };
    let started = Instant::now();
    progress.expect(pairs.len() as u64, pairs.iter().map(|pair| size(&pair)).sum());
    for pair in pairs.iter() {
        run.file(&pair, pairs.len()).await?;
    }
    progress.finish();
    run.counted.took = started.elapsed();
    let summary = Summary::new(run.tally, run.counted);
    if let Some(report) = run.report {
        report.finish(&summary)?;
    }
    match run.refused {
        Some(error) if pairs.len() == 1 || !run.has_begun => Err(error),
        _ => Ok(summary),
    }
}

/// How many files are asked, at most, whether the options fit them.
const ASKED: usize = 1000;

/// Whether the options are right for any of these files, as far as the first thousand tell.
pub async fn fits_any(pairs: &Pairs, options: &JobOptions, model: &ModelFacts) -> bool {
    for pair in pairs.iter().take(ASKED) {
        if OpenedInput::open(&pair, options, model).await.is_ok() {
            return true;
        }
    }
    false
}

struct Run<'a> {
    model: &'a ScoringModel,
    options: &'a JobOptions,
    progress: &'a Progress,
    report: Option<OutcomeWriter>,
    tally: Tally,
    counted: summary::Run,
    /// Why the only file failed, or what the options got wrong of the first file that could be looked at.
    refused: Option<Error>,
    /// Whether any file could be opened.
    has_begun: bool,
}

impl Run<'_> {
    async fn file(&mut self, pair: &Pair, of: usize) -> Result<()> {
        let began = Instant::now();
        let file = self.progress.begin(size(pair));
        let outcome = match self.done(pair, &file).await {
            Ok(Done::Scored { tally, resumed }) => {
                file.done();
                self.counted.files.done += 1;
                self.counted.resumed += resumed;
                self.tally.merge(&tally);
                FileOutcome::Scored { rows: tally.rows, resumed }
            }
            Ok(Done::Skipped { rows }) => {
                file.skipped();
                self.counted.files.skipped += 1;
                FileOutcome::Skipped { rows }
            }
            // Nothing more can be scored, or is to be.
            Err(error @ (Error::Stopped(_) | Error::Cancelled(_))) => return Err(error),
            Err(error) => {
                file.failed();
                self.fail(pair, error, of)
            }
        };
        match &mut self.report {
            Some(report) => report.add(pair, &outcome, began.elapsed()),
            None => Ok(()),
        }
    }

    async fn done(&mut self, pair: &Pair, file: &FileProgress<'_>) -> Result<Done> {
        let opened = OpenedInput::open(pair, self.options, &self.model.facts).await?;
        self.has_begun = true;
        if let Some(rows) = opened.rows() {
            file.expect_rows(rows);
        }
        score_file(self.model, opened, &pair.output, self.options, file).await
    }

    fn fail(&mut self, pair: &Pair, error: Error, of: usize) -> FileOutcome {
        self.counted.fail(&pair.input.to_string(), &error.to_string());
        let outcome = FileOutcome::failed(&error);
        if of > 1 {
            self.progress.tell(&format!("error: {error}"));
        }
        if of == 1 || self.refused.is_none() && matches!(error, Error::Invalid(_)) {
            self.refused = Some(error);
        }
        outcome
    }
}

/// In bytes, if it has a length: a pipe has none. What cannot be looked at is told of in its turn.
pub(super) fn size(pair: &Pair) -> Option<u64> {
    if let Some(inputs) = &pair.merged {
        return inputs.iter().map(|pair| size(&pair)).sum();
    }
    let bytes = match &pair.input {
        FileLocation::Path(path) => match fs::metadata(path) {
            Ok(found) => found.is_file().then_some(found.len())?,
            Err(_) => 0,
        },
        FileLocation::Object(_) => pair.bytes.unwrap_or(0),
        FileLocation::Standard => return None,
    };
    Some(pair.share.part_of(bytes))
}
