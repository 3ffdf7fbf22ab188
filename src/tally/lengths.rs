//! How long texts were, in tokens, as a histogram.

use serde::{Deserialize, Serialize};

/// The longest text of each bin, in tokens: two to the octave, so that where texts are cut is most often an edge. One more
/// bin has what is longer.
const EDGES: [u32; 28] = [
    4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
    12_288, 16_384, 24_576, 32_768, 49_152,
];

/// How many texts had how many tokens before they were cut, with the special ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lengths {
    counts: Vec<u64>,
}

/// Texts of about the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LengthBin {
    /// Tokens of the shortest.
    pub from: u32,
    /// Tokens of the longest; `None` in the last bin, which has no end.
    pub to: Option<u32>,
    /// How many they are.
    pub texts: u64,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { counts: vec![0; EDGES.len() + 1] }
    }
}

impl Lengths {
    pub(super) fn add(&mut self, tokens: u32) {
        if let Some(texts) = self.counts.get_mut(EDGES.partition_point(|edge| *edge < tokens)) {
            *texts += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(texts, more)| *texts += more);
    }

    /// The bins from the first that has texts to the last.
    pub fn bins(&self) -> Vec<LengthBin> {
        let has_texts = |count: &u64| *count > 0;
        let first = self.counts.iter().position(has_texts).unwrap_or(0);
        let end = self.counts.iter().rposition(has_texts).map_or(0, |last| last + 1);
        let before = |bin: usize| bin.checked_sub(1).and_then(|before| EDGES.get(before));
        let bin = |bin: usize| LengthBin {
            from: before(bin).map_or(0, |edge| edge + 1),
            to: EDGES.get(bin).copied(),
            texts: self.counts[bin],
        };
        (first..end).map(bin).collect()
    }
}
