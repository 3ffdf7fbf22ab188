//! The rows of a flight, shared out among endpoints.

use std::num::NonZeroUsize;

use super::survey::Piece;
use super::ticket::Span;

/// The pieces in at most so many lots of about as many rows each, in their order; none of them empty but the only one.
pub fn share_out(pieces: &[Piece], lots: NonZeroUsize) -> Vec<Vec<Span>> {
    let lots = lots.get().min(pieces.len()).max(1);
    let (mut rest, mut rows) = (pieces, pieces.iter().map(|piece| piece.rows).fold(0, u64::saturating_add));
    let mut shared = Vec::with_capacity(lots);
    for left in (1..=lots).rev() {
        let (lot, behind) = rest.split_at(lot(rest, left, rows / left as u64));
        shared.push(spans(lot));
        rows = lot.iter().fold(rows, |rows, piece| rows.saturating_sub(piece.rows));
        rest = behind;
    }
    shared
}

/// How many pieces are the first of `lots` lots, each of which should have `share` rows.
fn lot(pieces: &[Piece], lots: usize, share: u64) -> usize {
    let most = pieces.len() - (lots - 1).min(pieces.len());
    if lots == 1 {
        return most;
    }
    let (mut rows, mut taken) = (0_u64, 0);
    for piece in &pieces[..most] {
        // One more only if that comes nearer to the share.
        if taken > 0 && rows.saturating_add(piece.rows).abs_diff(share) > share.abs_diff(rows) {
            break;
        }
        rows = rows.saturating_add(piece.rows);
        taken += 1;
    }
    taken
}

/// Pieces that follow one another in one file are one span, also where parts without rows stand between them.
fn spans(pieces: &[Piece]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for piece in pieces {
        match spans.last_mut() {
            Some(span) if span.file == *piece.file => {
                span.parts.1 = piece.part + 1;
                span.rows = span.rows.saturating_add(piece.rows);
            }
            _ => spans.push(Span {
                file: piece.file.as_ref().clone(),
                parts: (piece.part, piece.part + 1),
                rows: piece.rows,
            }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flight::datasets::Version;
    use crate::source::Fingerprint;

    fn pieces(rows: &[(u8, u64)]) -> Vec<Piece> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|(file, _)| *file);
        let version =
            |file: u8| Version::of(&file.to_string(), &Fingerprint { len: 1, modified: None, etag: None }, 0).into();
        rows.iter().enumerate().map(|(part, &(file, rows))| Piece { file: version(file), part, rows }).collect()
    }

    fn rows(lots: &[Vec<Span>]) -> Vec<u64> {
        lots.iter().map(|lot| lot.iter().map(|span| span.rows).sum()).collect()
    }

    fn share(sizes: &[u64], lots: usize) -> Vec<u64> {
        let sizes: Vec<_> = sizes.iter().map(|&rows| (0, rows)).collect();
        rows(&share_out(&pieces(&sizes), NonZeroUsize::new(lots).unwrap()))
    }

    #[test]
    fn lots_are_about_as_large() {
        assert_eq!(share(&[10, 10, 10, 10], 2), [20, 20]);
        assert_eq!(share(&[10, 10, 10], 2), [20, 10]);
        assert_eq!(share(&[1, 1, 1, 1000], 2), [3, 1000]);
        assert_eq!(share(&[1000, 1, 1, 1], 3), [1000, 1, 2]);
        assert_eq!(share(&[5, 5], 7), [5, 5]);
        assert_eq!(share(&[], 7), [0]);
    }

    #[test]
    fn a_piece_is_looked_at_a_few_times_however_many_lots_there_are() {
        // By the square of it this would take minutes.
        assert_eq!(share(&vec![1; 200_000], 100_000), vec![2; 100_000]);
        assert_eq!(share(&[u64::MAX, u64::MAX, 1], 2), [u64::MAX, 1]);
    }

    proptest! {
        #[test]
        fn every_piece_is_in_one_lot(sizes in prop::collection::vec((0_u8..4, 1_u64..2000), 1..60), lots in 1_usize..80) {
            let pieces = pieces(&sizes);
            let shared = share_out(&pieces, NonZeroUsize::new(lots).unwrap());
            prop_assert_eq!(shared.len(), lots.min(pieces.len()));
            prop_assert!(shared.iter().all(|lot| !lot.is_empty()));
            let parts: Vec<usize> = shared.iter().flatten().flat_map(|span| span.parts.0..span.parts.1).collect();
            prop_assert_eq!(parts, (0..pieces.len()).collect::<Vec<_>>());
            prop_assert_eq!(rows(&shared).iter().sum::<u64>(), pieces.iter().map(|piece| piece.rows).sum::<u64>());
        }
    }
}
