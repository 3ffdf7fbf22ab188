//! What a run would come to: every file is looked at, some rows are scored, and nothing is written.

mod estimate;
mod measured;

pub use self::estimate::Estimate;
use self::measured::{SampledFile, measure, try_once};
use super::inputs::{Pair, Pairs};
use super::job::{JobOptions, OpenedInput, SampleBound, ScoringModel};
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
    progress.expect(pairs.len() as u64, pairs.iter().map(|pair| size(&pair)).sum());
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
    let rows = survey.rows + uncounted_rows(survey.uncounted, files.iter().map(|(file, _)| file));
    let sampled = measure(model, files, first).await?;
    progress.finish();
    Ok(Estimate::new(rows, survey.bytes, survey.run, sampled))
}

/// What there is to do.
struct Survey<'a> {
    /// How many files are looked at.
    of: usize,
    progress: &'a Progress,
    rows: u64,
    bytes: u64,
    /// Bytes of files of which nobody knows how many rows they have.
    uncounted: u64,
    run: Run,
    /// Some of the files.
    chosen: Vec<(Candidate, OpenedInput)>,
    /// Whether any file could be opened.
    has_begun: bool,
    /// What the options got wrong of the first file that could be looked at.
    refused: Option<Error>,
}

/// A file that would be scored.
struct Candidate {
    pair: Pair,
    /// How many it has, where that is known.
    rows: Option<u64>,
    bytes: u64,
}

impl<'a> Survey<'a> {
    fn new(of: usize, progress: &'a Progress) -> Self {
        let (run, chosen) = (Run::default(), Vec::new());
        Self { of, progress, rows: 0, bytes: 0, uncounted: 0, run, chosen, has_begun: false, refused: None }
    }

    async fn look_at(&mut self, model: &ScoringModel, pair: &Pair, options: &JobOptions) -> Result<()> {
        let opened = OpenedInput::open(pair, options, &model.facts).await?;
        self.has_begun = true;
        if opened.is_finished(&pair.output, &options.stores).await? {
            self.run.files.skipped += 1;
            return Ok(());
        }
        let candidate = Candidate { pair: pair.clone(), rows: opened.rows(), bytes: size(pair).unwrap_or(0) };
        match candidate.rows {
            Some(rows) => self.rows += rows,
            None => self.uncounted += candidate.bytes,
        }
        self.bytes += candidate.bytes;
        if self.run.files.done.is_multiple_of(self.of.div_ceil(PLACES) as u64) {
            self.chosen.push((candidate, opened));
        }
        self.run.files.done += 1;
        Ok(())
    }

    /// Some rows of each of the chosen files.
    async fn samples(&mut self) -> Result<Vec<SampledFile>> {
        let chosen = std::mem::take(&mut self.chosen);
        let places = PLACES / chosen.len().max(1);
        let (mut sampled, mut left) = (Vec::new(), BYTES);
        for (of, opened) in chosen {
            let bound = SampleBound { rows: ROWS / PLACES, bytes: BYTES / PLACES };
            match opened.sample(places, bound, &mut left).await {
                Ok(sample) => sampled.push(SampledFile { of, sample }),
                Err(error) => self.give_up(&of, error)?,
            }
        }
        Ok(sampled)
    }

    /// A file that could be opened would not be scored.
    fn give_up(&mut self, file: &Candidate, error: Error) -> Result<()> {
        self.run.files.done -= 1;
        match file.rows {
            Some(rows) => self.rows -= rows,
            None => self.uncounted -= file.bytes,
        }
        self.bytes -= file.bytes;
        self.fail(&file.pair, error)
    }

    /// Goes on, if the run would.
    fn fail(&mut self, pair: &Pair, error: Error) -> Result<()> {
        if self.of == 1 || matches!(error, Error::Stopped(_) | Error::Cancelled(_)) {
            return Err(error);
        }
        self.progress.tell(&format!("error: {error}"));
        self.run.fail(&pair.input.to_string(), &error.to_string());
        if self.refused.is_none() && matches!(error, Error::Invalid(_)) {
            self.refused = Some(error);
        }
        Ok(())
    }
}

/// About how many rows so many bytes are, going by those in the sample that were read from front to back.
fn uncounted_rows<'a>(bytes: u64, files: impl Iterator<Item = &'a SampledFile>) -> u64 {
    let read = files.flat_map(|file| &file.sample.parts).filter(|part| part.file_bytes > 0);
    let (rows, of) = read.fold((0, 0), |(rows, of), part| (rows + part.batch.num_rows(), of + part.file_bytes));
    (bytes as f64 * rows as f64 / of.max(1) as f64).round() as u64
}

#[cfg(test)]
mod tests;
