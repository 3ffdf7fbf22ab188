//! Pieces of a journal, each with its length and a check before it, so that one that was cut off is known.

use std::io::{Error, ErrorKind, Read, Result};

use sha2::{Digest, Sha256};

/// Bytes of a piece, at most: a longer one is not of ours.
const LONGEST: usize = 1 << 30;

/// What stands before a piece: its length, and the beginning of its hash.
const HEAD: usize = size_of::<u32>() + CHECK;
const CHECK: usize = 8;

/// The piece as it is written.
///
/// # Errors
/// That it is too long to be read again.
pub fn framed(piece: &[u8]) -> Result<Vec<u8>> {
    if piece.len() > LONGEST {
        return Err(Error::other(format!("a piece of {} bytes is longer than {LONGEST}", piece.len())));
    }
    let mut frame = Vec::with_capacity(HEAD + piece.len());
    frame.extend_from_slice(&(piece.len() as u32).to_le_bytes());
    frame.extend_from_slice(&check(piece));
    frame.extend_from_slice(piece);
    Ok(frame)
}

/// The next piece; none at the end, or where it is cut off or damaged.
///
/// # Errors
/// What the system says.
pub fn next(log: &mut dyn Read) -> Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    if !is_filled(log, &mut head)? {
        return Ok(None);
    }
    let (len, expected) = head.split_at(HEAD - CHECK);
    let len = len.iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
    if len > LONGEST {
        return Ok(None);
    }
    let mut piece = Vec::new();
    log.take(len as u64).read_to_end(&mut piece)?;
    Ok((piece.len() == len && check(&piece) == expected).then_some(piece))
}

/// Bytes that a piece of this length takes.
pub const fn framed_len(piece: usize) -> u64 {
    (HEAD + piece) as u64
}

fn is_filled(log: &mut dyn Read, bytes: &mut [u8]) -> Result<bool> {
    match log.read_exact(bytes) {
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn check(piece: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::digest(piece);
    std::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_damaged_is_not_there() {
        let pieces: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| framed(piece).unwrap()).collect();
        let read = |mut bytes: &[u8]| std::iter::from_fn(|| next(&mut bytes).unwrap()).collect::<Vec<_>>();
        assert_eq!(read(&bytes), pieces);
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).len() < 3);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(read(&damaged).len() < 3, "{at}");
        }
    }
}
