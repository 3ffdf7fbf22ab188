//! What a run would come to: every file is looked at, some rows are scored, and nothing is written.

mod estimate;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use arrow::array::Array;
use futures::future::try_join_all;

pub use self::estimate::Estimate;
use self::estimate::Sampled;
use super::inputs::{Pair, Pairs};
use super::job::{JobOptions, OpenedInput, RowSample, ScoringModel};
use super::progress::Progress;
use super::run::size;
use super::summary::Run;
use super::tally::{Place, Tally};
use crate::stream::Scored;
use crate::{Error, Result};

/// Rows that are scored.
const ROWS: usize = 1000;

/// Places that they are taken from, in all files.
const PLACES: usize = 10;

/// How long the sample is scored again and again, at least: a thousand rows are too few to measure.
const MEASUREMENT: Duration = Duration::from_secs(1);

/// Looks at the files, and scores some of their rows.
///
/// # Errors
/// As [`super::score_files`].
pub async fn dry_run(
    model: &ScoringModel,
    pairs: &Pairs,
    options: &JobOptions,
    progress: &Progress,
) -> Result<Estimate> {
    let mut looked = Looked::default();
    progress.expect(pairs.len() as u64, Some(pairs.iter().map(|pair| size(&pair)).sum()));
    for pair in pairs.iter() {
        let file = progress.begin(size(&pair));
        match looked.at(model, &pair, options, pairs.len()).await {
            Ok(()) => file.done(),
            Err(error) if pairs.len() == 1 => return Err(error),
            Err(error) => {
                file.failed();
                progress.tell(&format!("error: {error}"));
                looked.fail(&pair, error);
            }
        }
    }
    if let Some(error) = looked.refused.filter(|_| looked.run.files.done == 0) {
        return Err(error);
    }
    let sampled = score(model, &samples(&looked.sampled).await?).await?;
    progress.finish();
    Ok(Estimate::new(looked.rows, looked.bytes, looked.run, sampled))
}

/// What there is to do.
#[derive(Default)]
struct Looked {
    rows: u64,
    bytes: u64,
    run: Run,
    /// Some of the files.
    sampled: Vec<OpenedInput>,
    /// What the options got wrong of the first file that could be looked at.
    refused: Option<Error>,
}

impl Looked {
    async fn at(&mut self, model: &ScoringModel, pair: &Pair, options: &JobOptions, of: usize) -> Result<()> {
        let opened = OpenedInput::open(pair, options, &model.facts).await?;
        if opened.is_finished(&pair.output).await? {
            self.run.files.skipped += 1;
            return Ok(());
        }
        self.rows += opened.rows();
        self.bytes += size(pair);
        if self.run.files.done.is_multiple_of(of.div_ceil(PLACES) as u64) {
            self.sampled.push(opened);
        }
        self.run.files.done += 1;
        Ok(())
    }

    fn fail(&mut self, pair: &Pair, error: Error) {
        self.run.fail(&pair.input.display().to_string(), &error.to_string());
        if self.refused.is_none() && matches!(error, Error::Invalid(_)) {
            self.refused = Some(error);
        }
    }
}

/// Some rows of each of these files.
async fn samples(files: &[OpenedInput]) -> Result<Vec<RowSample>> {
    let places = PLACES / files.len().max(1);
    let rows = ROWS / PLACES;
    let mut samples = Vec::new();
    for file in files {
        for place in 0..places {
            samples.extend(file.sample(place, places, rows).await?);
        }
    }
    Ok(samples)
}

/// Scores these rows, and measures how long that takes.
async fn score(model: &ScoringModel, samples: &[RowSample]) -> Result<Sampled> {
    let scorer = model.scorer.for_stream();
    let pass = async || {
        let columns = samples.iter().flat_map(|sample| &sample.texts);
        try_join_all(columns.map(|texts| scorer.score(texts.values.clone()))).await
    };
    let mut began = Instant::now();
    let scores = pass().await?;
    let mut passes = 1;
    if began.elapsed() < MEASUREMENT {
        // The first was slower.
        (began, passes) = (Instant::now(), 0);
        while began.elapsed() < MEASUREMENT {
            pass().await?;
            passes += 1;
        }
    }
    let took = began.elapsed() / passes;
    let mut tally = Tally::new(&model.facts.info.labels, false);
    let mut scores = scores.into_iter();
    for RowSample { batch, texts } in samples {
        let scores = scores.by_ref().take(texts.len()).collect();
        let scored = Scored { batch: batch.clone(), texts: texts.clone(), scores, columns: Vec::new(), rest: () };
        tally.add(Place { file: "", row: 0 }, &scored, &[]);
    }
    Ok(Sampled { tally, duplicates: duplicates(samples), took })
}

/// Texts that stand before in the sample.
fn duplicates(samples: &[RowSample]) -> u64 {
    let (hasher, mut seen, mut duplicates) = (RandomState::new(), HashSet::new(), 0);
    for texts in samples.iter().flat_map(|sample| &sample.texts) {
        for text in texts.layout.walk(texts.values.len()).filter_map(|(_, text)| text) {
            let is_new = texts.values.is_null(text) || seen.insert(hasher.hash_one(texts.values.value(text)));
            duplicates += u64::from(!is_new);
        }
    }
    duplicates
}
