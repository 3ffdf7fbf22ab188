//! A scorer that takes note of the batches that the engine forms.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Result;
use crate::classifier::kernels::Team;
use crate::classifier::{BatchScores, Classifier, Encoding, ModelInfo};
use crate::engine::Scorer;

/// A classifier, and what came to it.
pub struct CountingScorer {
    classifier: Arc<Classifier>,
    /// Rows and tokens of each forward.
    forwards: Mutex<Vec<(usize, usize)>>,
}

/// The forwards of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwards {
    /// How many.
    pub count: usize,
    /// The median of their distinct texts.
    pub rows: usize,
    /// And of their tokens.
    pub tokens: usize,
}

impl CountingScorer {
    /// Nothing has come.
    pub fn new(classifier: &Arc<Classifier>) -> Arc<Self> {
        Arc::new(Self { classifier: Arc::clone(classifier), forwards: Mutex::default() })
    }

    /// What has come since the last call.
    pub fn forwards(&self) -> Forwards {
        let (rows, tokens): (Vec<_>, Vec<_>) = self.lock().drain(..).unzip();
        Forwards { count: rows.len(), rows: median(rows), tokens: median(tokens) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, usize)>> {
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The middle one, of an even number the larger; 0 of none.
fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl Scorer for CountingScorer {
    fn info(&self) -> &ModelInfo {
        self.classifier.info()
    }

    fn encode(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding> {
        self.classifier.encode_in_pieces(text, pause)
    }

    fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores {
        self.lock().push((sequences.len(), sequences.iter().map(|sequence| sequence.len()).sum()));
        self.classifier.score_batch(sequences, team, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!([vec![], vec![3], vec![9, 1, 5], vec![4, 1, 2, 3]].map(median), [0, 3, 5, 3]);
    }
}
