//! What scoring some rows of files tells of them, and how long it takes.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use arrow::array::Array;
use futures::future::{join_all, try_join_all};

use super::Candidate;
use super::estimate::Sampled;
use crate::Result;
use crate::bulk::job::{FileSample, RowSample, ScoringModel};
use crate::classifier::Scores;
use crate::stream::Scored;
use crate::tally::{Place, Tally};

/// How long the sample is scored again and again, at least: a thousand rows are too few to measure.
const MEASUREMENT: Duration = Duration::from_secs(1);

/// A file, and some of its rows.
pub(super) struct SampledFile {
    pub of: Candidate,
    pub sample: FileSample,
}

/// Scores the rows once: what they count of each file, and how long it took.
pub(super) async fn try_once(
    model: &ScoringModel,
    files: Vec<SampledFile>,
) -> (Vec<(SampledFile, Result<Tally>)>, Duration) {
    let began = Instant::now();
    let scored = join_all(files.iter().map(|file| file.score(model))).await;
    let took = began.elapsed();
    let tally = |(file, scores): (SampledFile, Result<Vec<Scores>>)| {
        let tally = scores.and_then(|scores| file.tally(model, scores));
        (file, tally)
    };
    (files.into_iter().zip(scored).map(tally).collect(), took)
}

/// How fast the rows of files that can be scored are. `first` is how long they took before.
///
/// # Errors
/// Those of scoring.
pub(super) async fn measure(
    model: &ScoringModel,
    files: Vec<(SampledFile, Tally)>,
    first: Duration,
) -> Result<Sampled> {
    let (files, tallies): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let mut tally = Tally::new(&model.facts.info.labels, false);
    for more in &tallies {
        tally.merge(more);
    }
    let mut took = first;
    if took < MEASUREMENT && tally.rows > 0 {
        // The first was slower.
        let (began, mut passes) = (Instant::now(), 0);
        while began.elapsed() < MEASUREMENT {
            try_join_all(files.iter().map(|file| file.score(model))).await?;
            // Who has nothing to score, as nulls alone, answers at once: others may want the thread.
            tokio::task::yield_now().await;
            passes += 1;
        }
        took = began.elapsed() / passes;
    }
    Ok(Sampled { tally, duplicates: duplicates(&files), took })
}

impl SampledFile {
    async fn score(&self, model: &ScoringModel) -> Result<Vec<Scores>> {
        let scorer = model.scorer.for_stream();
        let columns = self.sample.parts.iter().flat_map(|part| &part.texts);
        try_join_all(columns.map(|texts| scorer.score(texts.values.clone()))).await
    }

    fn tally(&self, model: &ScoringModel, scores: Vec<Scores>) -> Result<Tally> {
        let mut tally = Tally::new(&model.facts.info.labels, false);
        let mut scores = scores.into_iter();
        for part in &self.sample.parts {
            let RowSample { batch, texts, .. } = part;
            let scores: Vec<_> = scores.by_ref().take(texts.len()).collect();
            self.sample.check(part, &scores)?;
            let scored = Scored { batch: batch.clone(), texts: texts.clone(), scores, columns: Vec::new(), rest: () };
            tally.add(Place { file: "", row: 0 }, &scored, &[]);
        }
        Ok(tally)
    }
}

/// Texts that stand before in the sample.
fn duplicates(files: &[SampledFile]) -> u64 {
    let (hasher, mut seen, mut duplicates) = (RandomState::new(), HashSet::new(), 0);
    let parts = files.iter().flat_map(|file| &file.sample.parts);
    for texts in parts.flat_map(|part| &part.texts) {
        for text in texts.layout.walk(texts.values.len()).filter_map(|(_, text)| text) {
            let is_new = texts.values.is_null(text) || seen.insert(hasher.hash_one(texts.values.value(text)));
            duplicates += u64::from(!is_new);
        }
    }
    duplicates
}
