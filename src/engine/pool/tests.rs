//! The pool against what it promises, over generated rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn pool(sequences: &[Vec<u32>]) -> Pool<usize> {
    let mut pool = Pool::default();
    for (row, sequence) in sequences.iter().enumerate() {
        pool.push(sequence.clone(), row);
    }
    pool
}

fn lengths(batch: &Batch<usize>) -> Vec<usize> {
    batch.sequences.iter().map(Vec::len).collect()
}

/// What a pool holds, counted anew.
fn counted(pool: &Pool<usize>) -> (Backlog, Backlog) {
    let (mut distinct, mut all) = (Backlog::default(), Backlog::default());
    for entry in pool.entries.values() {
        distinct.add(1, entry.sequence.len());
        all.add(entry.rows.len(), entry.sequence.len());
    }
    (distinct, all)
}

proptest! {
    #[test]
    fn every_wanted_row_is_taken_once_within_the_limits(
        sequences in prop::collection::vec(prop::collection::vec(0u32..3, 1..12), 0..60),
        unwanted in prop::collection::btree_set(0usize..60, 0..20),
        rows in 1usize..9,
        tokens in 1usize..40,
        takes in prop::collection::vec(0usize..4, 1..60),
    ) {
        let (limits, mut pool) = (BatchLimits { rows, tokens }, pool(&sequences));
        let wanted = |row: &usize| !unwanted.contains(row);
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for how in takes.iter().cycle() {
            let oldest = pool.rows().copied().find(wanted);
            let taken = if *how == 0 { pool.take(limits, limits.half_more(), wanted) } else { pool.take_share(*how, limits, wanted) };
            let Some(batch) = taken else { break };
            prop_assert!(batch.sequences.len() <= rows && batch.sequences.len() == batch.rows.len());
            prop_assert!(batch.tokens() <= tokens || batch.sequences.len() == 1);
            prop_assert!(lengths(&batch).is_sorted_by(|a, b| a >= b));
            prop_assert!(*how > 0 || batch.rows.iter().flatten().any(|row| Some(*row) == oldest), "the oldest waits on");
            for (sequence, rows) in batch.sequences.iter().zip(&batch.rows) {
                for row in rows {
                    prop_assert_eq!(&sequences[*row], sequence);
                    *seen.entry(*row).or_default() += 1;
                }
            }
            prop_assert_eq!(counted(&pool), (pool.distinct(), pool.all()));
        }
        prop_assert_eq!(pool.all(), Backlog::default());
        prop_assert!(seen.into_iter().eq((0..sequences.len()).filter(wanted).map(|row| (row, 1))));
    }

    /// Of the oldest that were left behind none is nearer to the first than all that were taken on its side.
    #[test]
    fn neighbours_in_length_go_together(lengths_of_all in prop::collection::vec(1usize..50, 1..60), rows in 1usize..9) {
        let numbered = (0..).zip(&lengths_of_all);
        let sequences: Vec<Vec<u32>> = numbered.map(|(id, length)| vec![id; *length]).collect();
        let (limits, mut pool) = (BatchLimits { rows, tokens: usize::MAX }, pool(&sequences));
        let batch = pool.take(limits, limits.half_more(), |_| true).unwrap();
        let (shortest, longest) = (*lengths(&batch).last().unwrap(), lengths(&batch)[0]);
        prop_assert_eq!(batch.sequences.len(), rows.min(sequences.len()));
        let mut left = pool.rows().filter(|row| **row < rows + rows / 2).map(|row| sequences[*row].len());
        prop_assert!(left.all(|length| length <= shortest || length >= longest));
        prop_assert!(batch.rows.iter().flatten().all(|row| *row <= rows + rows / 2));
    }
}

#[test]
fn equal_sequences_are_one_and_wait_as_long_as_the_first() {
    let mut pool = pool(&[vec![1, 1], vec![2], vec![1, 1], vec![3, 3, 3]]);
    assert_eq!((pool.distinct(), pool.all()), (Backlog { rows: 3, tokens: 6 }, Backlog { rows: 4, tokens: 8 }));
    let limits = BatchLimits { rows: 1, tokens: 9 };
    let batch = pool.take(limits, limits, |_| true).unwrap();
    assert_eq!((batch.sequences, batch.rows), (vec![vec![1, 1]], vec![vec![0, 2]]));
}

#[test]
fn a_batch_is_full_but_for_what_the_next_would_be_too_much() {
    let mut pool = pool(&(0..1000).map(|row| vec![row; 4 + row as usize % 40]).collect::<Vec<_>>());
    let limits = BatchLimits { rows: usize::MAX, tokens: 2000 };
    while pool.distinct().wholes(limits) > 0 {
        let batch = pool.take(limits, limits.half_more(), |_| true).unwrap();
        assert!(batch.tokens() > 2000 - 44, "{}", batch.tokens());
    }
}

#[test]
fn shares_are_alike_in_tokens() {
    let mut pool = pool(&[2, 8, 2, 8, 1, 1].map(|length| vec![length; length as usize]));
    let limits = BatchLimits { rows: 32, tokens: 4096 };
    // Their like is one sequence each.
    assert_eq!(pool.distinct(), Backlog { rows: 3, tokens: 11 });
    assert_eq!(lengths(&pool.take_share(2, limits, |_| true).unwrap()), [8]);
    assert_eq!(lengths(&pool.take_share(1, limits, |_| true).unwrap()), [2, 1]);
    assert!(
        pool.take_share(1, limits, |_| true).is_none() && pool.take(limits, limits.half_more(), |_| true).is_none()
    );
}

#[test]
fn wholes_are_counted_by_what_fills_first() {
    let size = Backlog { rows: 70, tokens: 1000 };
    assert_eq!(size.wholes(BatchLimits { rows: 32, tokens: 4096 }), 2);
    assert_eq!(size.wholes(BatchLimits { rows: usize::MAX, tokens: 300 }), 3);
    assert!(
        size.fits(3, BatchLimits { rows: 32, tokens: 4096 }) && !size.fits(2, BatchLimits { rows: 32, tokens: 4096 })
    );
    assert!(size.fits(4, BatchLimits { rows: usize::MAX, tokens: 300 }));
}
