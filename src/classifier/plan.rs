//! Rows → batches: ordered by length, at most so many rows and tokens a batch, equal sequences computed once. Pure.

use std::collections::HashMap;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Sequences a batch.
    pub rows: usize,
    /// Tokens a batch; a longer sequence is a batch of its own.
    pub tokens: usize,
}

/// Sequences to run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<R> {
    /// Distinct sequences, in the order in which the model sees them.
    pub sequences: Vec<Vec<u32>>,
    /// For each sequence the rows that have it.
    pub rows: Vec<Vec<R>>,
}

impl<R> Batch<R> {
    /// Tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

/// Batches of a window of rows. Every row is in exactly one batch.
///
/// Sequences of like length stand together: a batch then takes about the same time on every row of it, and a GPU kernel
/// that pads finds little to pad. The longest come first, so that the workers end together.
pub fn plan<R>(window: impl IntoIterator<Item = (Vec<u32>, R)>, limits: BatchLimits) -> Vec<Batch<R>> {
    let mut distinct: HashMap<Vec<u32>, Vec<R>> = HashMap::new();
    for (sequence, row) in window {
        distinct.entry(sequence).or_default().push(row);
    }
    let mut sequences: Vec<_> = distinct.into_iter().collect();
    // By content where lengths are equal: the plan must not depend on the map's order.
    sequences.sort_unstable_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));

    let mut batches: Vec<Batch<R>> = Vec::new();
    let mut tokens = 0;
    for (sequence, rows) in sequences {
        let length = sequence.len();
        let last = batches.last_mut().filter(|b| b.sequences.len() < limits.rows && tokens + length <= limits.tokens);
        match last {
            Some(batch) => {
                batch.sequences.push(sequence);
                batch.rows.push(rows);
                tokens += length;
            }
            None => {
                tokens = length;
                batches.push(Batch { sequences: vec![sequence], rows: vec![rows] });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_once_within_the_limits(
            window in prop::collection::vec(prop::collection::vec(0u32..3, 1..12), 0..60),
            rows in 1usize..9,
            tokens in 1usize..40,
        ) {
            let numbered = window.iter().enumerate().map(|(row, s)| (s.clone(), row));
            let batches = plan(numbered, BatchLimits { rows, tokens });
            let mut seen = vec![0; window.len()];
            let mut distinct = std::collections::HashSet::new();
            for batch in &batches {
                prop_assert!(batch.sequences.len() <= rows && batch.sequences.len() == batch.rows.len());
                let total: usize = batch.sequences.iter().map(Vec::len).sum();
                prop_assert!(total <= tokens || batch.sequences.len() == 1);
                for (sequence, rows) in batch.sequences.iter().zip(&batch.rows) {
                    prop_assert!(distinct.insert(sequence.clone()));
                    for row in rows {
                        seen[*row] += 1;
                        prop_assert_eq!(&window[*row], sequence);
                    }
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
            let lengths: Vec<_> = batches.iter().flat_map(|b| &b.sequences).map(Vec::len).collect();
            prop_assert!(lengths.is_sorted_by(|a, b| a >= b));
        }
    }
}
