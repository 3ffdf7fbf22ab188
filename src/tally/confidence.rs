//! How sure the model was, as a histogram.

use serde::{Deserialize, Serialize};

/// Bins of equal width from 0 to 1.
const BINS: usize = 100;

/// How many texts were scored with which confidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidences {
    /// Texts with a confidence from `n / 100` up to the next hundredth; the last has those of 1, too.
    pub hundredths: Vec<u64>,
}

impl Default for Confidences {
    fn default() -> Self {
        Self { hundredths: vec![0; BINS] }
    }
}

impl Confidences {
    /// Counts a text.
    pub(super) fn add(&mut self, confidence: f32) {
        // What is below 0 or no number becomes 0.
        let bin = (confidence * BINS as f32) as usize;
        if let Some(texts) = self.hundredths.get_mut(bin.min(BINS - 1)) {
            *texts += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.hundredths.iter_mut().zip(&other.hundredths).for_each(|(texts, more)| *texts += more);
    }
}
