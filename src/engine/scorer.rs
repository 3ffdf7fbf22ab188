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
    /// A score for each token sequence of a batch. May share the work out among `team`, and calls `pause` now and then, for
    /// its thread to do what is more urgent.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] when a smaller batch may do, [`crate::Error::Stopped`] when nothing will be scored any
    /// more, and others when this one failed. A sequence may fail alone.
    fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores;
}

impl Scorer for Classifier {
    fn info(&self) -> &ModelInfo {
        Self::info(self)
    }

    fn encode(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding> {
        self.encode_in_pieces(text, pause)
    }

    fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores {
        Self::score_batch(self, sequences, team, pause)
    }
}
