//! What a run would come to: every file is looked at, some rows are scored, and nothing is written.

mod estimate;
mod measured;

pub use self::estimate::Estimate;
use self::measured::{SampledFile, measure, try_once};
use super::inputs::{Pair, Pairs};
use super::job::{JobOptions, OpenedInput, RowSample, ScoringModel};
use super::progress::Progress;
use super::run::size;
use super::summary::Run;
use crate::{Error, Result};

/// Rows that are scored.
const ROWS: usize = 1000;

/// Places that they are taken from, in all files.
const PLACES: usize = 10;

/// Bytes of text that the rows of all places have in sum, at most; beyond them, the last row.
const BYTES: usize = 64 << 20;

/// Looks at the files, and scores some of their rows. A file that fails, or whose sample does, is told of as a run tells of it.
///
/// # Errors
/// As [`super::score_files`].
pub async fn dry_run(
    model: &ScoringModel,
    pairs: &Pairs,
    options: &JobOptions,
    progress: &Progress,
) -> Result<Estimate> {
    let mut survey = Survey::new(pairs.len(), progress);
    progress.expect(pairs.len() as u64, Some(pairs.iter().map(|pair| size(&pair)).sum()));
    for pair in pairs.iter() {
        let file = progress.begin(size(&pair));
        match survey.look_at(model, &pair, options).await {
            Ok(()) => file.done(),
            Err(error) => {
                file.failed();
                survey.fail(&pair, error)?;
            }
        }
    }
    if let Some(error) = survey.refused.take().filter(|_| !survey.has_begun) {
        return Err(error);
    }
    let files = survey.samples().await?;
    let (outcomes, first) = try_once(model, files).await;
    let mut files = Vec::new();
    for (file, outcome) in outcomes {
        match outcome {
            Ok(tally) => files.push((file, tally)),
            Err(error) => survey.give_up(&file.of, error)?,
        }
    }
    let sampled = measure(model, files, first).await?;
    progress.finish();
    Ok(Estimate::new(survey.rows, survey.bytes, survey.run, sampled))
}

/// What there is to do.
struct Survey<'a> {
    /// How many files are looked at.
    of: usize,
    progress: &'a Progress,
    rows: u64,
    bytes: u64,
    run: Run,
    /// Some of the files.
    chosen: Vec<Candidate>,
    /// Whether any file could be opened.
    has_begun: bool,
    /// What the options got wrong of the first file that could be looked at.
    refused: Option<Error>,
}

/// A file that would be scored.
struct Candidate {
    pair: Pair,
    opened: OpenedInput,
}

impl Candidate {
    /// Rows from so many places, while `left` bytes last.
    async fn samples(&self, places: usize, left: &mut usize) -> Result<Vec<RowSample>> {
        let mut samples = Vec::new();
        for place in 0..places {
            let bytes = (*left).min(BYTES / PLACES);
            let more = self.opened.sample(place, places, (ROWS / PLACES, bytes)).await?;
            *left = more.iter().fold(*left, |left, sample| left.saturating_sub(sample.bytes()));
            samples.extend(more);
        }
        Ok(samples)
    }
}

impl<'a> Survey<'a> {
    fn new(of: usize, progress: &'a Progress) -> Self {
        let (run, chosen) = (Run::default(), Vec::new());
        Self { of, progress, rows: 0, bytes: 0, run, chosen, has_begun: false, refused: None }
    }

    async fn look_at(&mut self, model: &ScoringModel, pair: &Pair, options: &JobOptions) -> Result<()> {
        let opened = OpenedInput::open(pair, options, &model.facts).await?;
        self.has_begun = true;
        if opened.is_finished(&pair.output).await? {
            self.run.files.skipped += 1;
            return Ok(());
        }
        self.rows += opened.rows();
        self.bytes += size(pair);
        if self.run.files.done.is_multiple_of(self.of.div_ceil(PLACES) as u64) {
            self.chosen.push(Candidate { pair: pair.clone(), opened });
        }
        self.run.files.done += 1;
        Ok(())
    }

    /// Some rows of each of the chosen files.
    async fn samples(&mut self) -> Result<Vec<SampledFile>> {
        let chosen = std::mem::take(&mut self.chosen);
        let places = PLACES / chosen.len().max(1);
        let (mut sampled, mut bytes) = (Vec::new(), BYTES);
        for of in chosen {
            match of.samples(places, &mut bytes).await {
                Ok(samples) => sampled.push(SampledFile { of, samples }),
                Err(error) => self.give_up(&of, error)?,
            }
        }
        Ok(sampled)
    }

    /// A file that could be opened would not be scored.
    fn give_up(&mut self, file: &Candidate, error: Error) -> Result<()> {
        self.run.files.done -= 1;
        self.rows -= file.opened.rows();
        self.bytes = self.bytes.saturating_sub(size(&file.pair));
        self.fail(&file.pair, error)
    }

    /// Goes on, if the run would.
    fn fail(&mut self, pair: &Pair, error: Error) -> Result<()> {
        if self.of == 1 || matches!(error, Error::Stopped(_) | Error::Cancelled(_)) {
            return Err(error);
        }
        self.progress.tell(&format!("error: {error}"));
        self.run.fail(&pair.input.display().to_string(), &error.to_string());
        if self.refused.is_none() && matches!(error, Error::Invalid(_)) {
            self.refused = Some(error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
