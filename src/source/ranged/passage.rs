//! An object from front to back, of which some is kept as it passes.

use std::collections::VecDeque;
use std::io::{Read, Result};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::kept::KeptRange;
use super::object::{GivenUp, ObjectFile, Prefetch};
use crate::store::Fault;

/// How much of what is kept already is read at once, in bytes.
const PIECE: usize = 1 << 20;

type Fetching = BoxStream<'static, std::result::Result<Bytes, Fault>>;

/// Reads a part of an object: what is kept of it from there, the rest from its store.
pub struct Passage {
    object: Arc<ObjectFile>,
    /// Of the next byte that is not in `piece`.
    at: u64,
    end: u64,
    piece: Bytes,
    fetching: Option<Fetching>,
    /// What is kept of what passes, in order.
    passing: VecDeque<Arc<KeptRange>>,
    /// What others fetch, until it has passed.
    held: Vec<Prefetch>,
}

impl std::fmt::Debug for Passage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passage(at {} of {})", self.at, self.object.object().url())
    }
}

impl Passage {
    pub(super) fn new(
        object: Arc<ObjectFile>,
        part: Range<u64>,
        mut passing: Vec<Arc<KeptRange>>,
        held: Vec<Prefetch>,
    ) -> Self {
        passing.sort_by_key(|kept| kept.range().start);
        let (at, end, piece) = (part.start, part.end, Bytes::new());
        Self { object, at, end, piece, fetching: None, passing: passing.into(), held }
    }

    /// The next bytes; none at the end.
    fn next_piece(&mut self) -> std::result::Result<Bytes, Fault> {
        loop {
            if let Some(fetching) = &mut self.fetching {
                if let Some(piece) = self.object.object().wait(fetching.next()) {
                    let piece = piece?;
                    self.keep(&piece)?;
                    return Ok(piece);
                }
                self.fetching = None;
            }
            if self.at >= self.end {
                return Ok(Bytes::new());
            }
            if let Some(kept) = self.already_kept(self.at) {
                let mut bytes = vec![0; PIECE.min(usize::try_from(self.end - self.at).unwrap_or(PIECE))];
                let read = kept.read_at(&mut bytes, self.at)?;
                bytes.truncate(read);
                return Ok(bytes.into());
            }
            let end = self.fetched_until();
            self.fetching = Some(self.object.object().stream(self.at..end));
        }
    }

    /// What has the byte at `at` without our help.
    fn already_kept(&self, at: u64) -> Option<Arc<KeptRange>> {
        self.object.kept_at(at, at).0.filter(|kept| !self.is_passing(kept))
    }

    fn is_passing(&self, kept: &Arc<KeptRange>) -> bool {
        let found = self.passing.binary_search_by_key(&kept.range().start, |passing| passing.range().start);
        found.is_ok_and(|index| Arc::ptr_eq(&self.passing[index], kept))
    }

    /// Where the next range begins that is kept without our help.
    fn fetched_until(&self) -> u64 {
        let mut at = self.at;
        while at < self.end {
            let (kept, next) = self.object.kept_at(at, self.end);
            match kept {
                Some(kept) if self.is_passing(&kept) => at = kept.range().end,
                Some(_) => return at,
                None => at = next,
            }
        }
        self.end
    }

    /// Keeps what is wanted of a piece.
    fn keep(&mut self, piece: &Bytes) -> std::result::Result<(), Fault> {
        let (start, end) = (self.at, self.at + piece.len() as u64);
        for kept in self.passing.iter().take_while(|kept| kept.range().start < end) {
            let from = kept.range().start.max(start);
            let until = kept.range().end.min(end);
            if from < until {
                kept.append(&piece[(from - start) as usize..(until - start) as usize])?;
            }
        }
        // What has passed is its readers' now.
        while self.passing.pop_front_if(|kept| kept.range().end <= end).is_some() {}
        Ok(())
    }
}

impl Read for Passage {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if self.piece.is_empty() {
            let piece = self.next_piece()?;
            self.at += piece.len() as u64;
            self.held.retain(|held| held.end() > self.at);
            self.piece = piece;
        }
        let len = bytes.len().min(self.piece.len());
        bytes[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.passing.iter().for_each(|kept| drop(GivenUp(kept)));
    }
}
