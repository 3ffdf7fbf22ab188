//! What runs together: how large it may be, and how what was too large is split. Pure.

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Sequences a batch.
    pub rows: usize,
    /// Tokens a batch; a longer sequence is a batch of its own.
    pub tokens: usize,
}

impl BatchLimits {
    /// Half as much again.
    #[must_use]
    pub const fn half_more(self) -> Self {
        Self { rows: self.rows.saturating_add(self.rows / 2), tokens: self.tokens.saturating_add(self.tokens / 2) }
    }
}

/// Sequences to run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<R> {
    /// Distinct sequences, in the order in which the model sees them: the longest first.
    pub sequences: Vec<Vec<u32>>,
    /// For each sequence the rows that have it.
    pub rows: Vec<Vec<R>>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self { sequences: Vec::new(), rows: Vec::new() }
    }
}

impl<R> Batch<R> {
    /// Tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Adds a sequence and the rows that have it.
    pub fn push(&mut self, sequence: Vec<u32>, rows: Vec<R>) {
        self.sequences.push(sequence);
        self.rows.push(rows);
    }

    /// The same sequences, in the same order, in batches within the limits.
    pub fn split(self, limits: BatchLimits) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        let mut tokens = 0;
        for (sequence, rows) in self.sequences.into_iter().zip(self.rows) {
            tokens += sequence.len();
            match batches.last_mut().filter(|b| b.sequences.len() < limits.rows && tokens <= limits.tokens) {
                Some(batch) => batch.push(sequence, rows),
                None => {
                    tokens = sequence.len();
                    batches.push(Self { sequences: vec![sequence], rows: vec![rows] });
                }
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_split_is_all_there_within_the_limits(
            sequences in prop::collection::vec(prop::collection::vec(0u32..3, 1..12), 0..60),
            rows in 1usize..9,
            tokens in 1usize..40,
        ) {
            let whole = Batch { rows: (0..sequences.len()).map(|row| vec![row]).collect(), sequences };
            let batches = whole.clone().split(BatchLimits { rows, tokens });
            for batch in &batches {
                let size = batch.sequences.len();
                prop_assert!((1..=rows).contains(&size) && batch.rows.len() == size);
                prop_assert!(batch.tokens() <= tokens || size == 1);
            }
            let mut together = Batch::default();
            for (sequence, rows) in batches.into_iter().flat_map(|batch| batch.sequences.into_iter().zip(batch.rows)) {
                together.push(sequence, rows);
            }
            prop_assert_eq!(together, whole);
        }
    }
}
