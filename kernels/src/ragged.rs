//! Where the sequences of a packed tensor begin and end.

use std::ops::Range;

/// Where the sequences of a packed tensor begin: sequence `i` has the rows `offsets[i]..offsets[i + 1]`.
#[derive(Debug, Clone)]
pub struct Ragged {
    offsets: Vec<usize>,
}

impl Ragged {
    /// Sequences of these lengths, one after the other.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            offsets.push(end);
        }
        Self { offsets }
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of all sequences together.
    pub fn rows(&self) -> usize {
        self.offsets[self.len()]
    }

    /// The first row of each sequence.
    pub fn starts(&self) -> &[usize] {
        &self.offsets[..self.len()]
    }

    /// The rows of each sequence.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.offsets.windows(2).map(|w| w[0]..w[1])
    }

    /// The rows of some sequences together.
    pub fn span(&self, sequences: &Range<usize>) -> Range<usize> {
        self.offsets[sequences.start]..self.offsets[sequences.end]
    }

    /// Sequences one after the other in blocks, each with `rows` rows or, but for the last, with what its last sequence
    /// has more.
    pub fn blocks(&self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        let mut first = 0;
        std::iter::from_fn(move || {
            let start = first;
            let full = self.offsets[start] + rows;
            first = self.offsets.partition_point(|offset| *offset < full).min(self.len());
            (start < first).then_some(start..first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_whole_sequences() {
        let blocks =
            |lengths: &[usize], rows| Ragged::from_lengths(lengths.iter().copied()).blocks(rows).collect::<Vec<_>>();
        assert!(blocks(&[], 8).is_empty());
        assert_eq!(blocks(&[3, 0, 9, 1], 8), [0..3, 3..4]);
        assert_eq!(blocks(&[4, 4, 4], 8), [0..2, 2..3]);
        assert_eq!(blocks(&[5, 9, 1, 1, 20, 7], 8), [0..2, 2..5, 5..6]);
        assert_eq!(blocks(&[1, 1, 1], 1), [0..1, 1..2, 2..3]);
        let ragged = Ragged::from_lengths([5, 9, 1]);
        assert_eq!(ragged.span(&(0..2)), 0..14);
        assert_eq!(ragged.span(&(2..3)), 14..15);
    }
}
