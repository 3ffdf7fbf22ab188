//! What a model thread needs of a classifier.

use crate::Result;
use crate::classifier::kernels::Team;
use crate::classifier::{BatchScores, Classifier, Encoding, ModelInfo};

/// What a model thread needs of a classifier.
pub trait Scorer: Send + Sync + 'static {
    /// What serves.
    fn info(&self) -> &ModelInfo;
    /// The token ids of one text. Calls `pause` now and then in a long one, for its thread to do what is more urgent.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    fn encode(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding>;
    /// A score for each token sequence of each batch: several, since some devices are best waited for once. May share the
    /// work out among `team`, and calls `pause` now and then, for its thread to do what is more urgent.
    ///
    /// # Errors
    /// Of a batch: [`crate::Error::OutOfMemory`] when a smaller one may do, [`crate::Error::Stopped`] when nothing will be scored any
    /// more, and others when this one failed. A sequence may fail alone.
    fn score_each(&self, batches: &[&[&[u32]]], team: &Team, pause: &dyn Fn()) -> Vec<BatchScores>;
}

impl Scorer for Classifier {
    fn info(&self) -> &ModelInfo {
        Self::info(self)
    }

    fn encode(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding> {
        self.encode_in_pieces(text, pause)
    }

    fn score_each(&self, batches: &[&[&[u32]]], team: &Team, pause: &dyn Fn()) -> Vec<BatchScores> {
        Self::score_each(self, batches, team, pause)
    }
}
