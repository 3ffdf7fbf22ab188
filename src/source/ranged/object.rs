//! An object that is read by range: what was fetched ahead is kept, so that the store gives each byte once.

use std::io::Result;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use super::Passage;
use super::kept::{KeptRange, PrefetchRoom};
use crate::source::Fingerprint;
use crate::store::{Fault, Object};

/// Ranges that are fetched at the same time.
const RANGES_AT_ONCE: usize = 2;

type Pieces = Vec<Arc<KeptRange>>;

/// An object, and what is kept of it.
#[derive(Debug)]
pub struct ObjectFile {
    object: Object,
    room: PrefetchRoom,
    kept: Mutex<Pieces>,
    /// What is to be kept as it passes.
    wanted: Mutex<Vec<Vec<Range<u64>>>>,
}

/// Ranges of a file that are there, or on their way, until this is dropped.
#[derive(Debug, Default)]
pub struct Prefetch {
    object: Option<Arc<ObjectFile>>,
    kept: Pieces,
    failed: Option<Fault>,
    fetching: Option<AbortOnDropHandle<()>>,
}

impl Prefetch {
    /// Waits until all of it is there. Blocks.
    ///
    /// # Errors
    /// What the store says, with where.
    pub fn ready(&self) -> crate::Result<()> {
        let Some(file) = &self.object else { return Ok(()) };
        let ready =
            self.failed.clone().map_or(Ok(()), Err).and_then(|()| self.kept.iter().try_for_each(|kept| kept.ready()));
        ready.map_err(|fault| fault.at(file.object.url()))
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        drop(self.fetching.take());
        if let Some(object) = &self.object {
            let mut all = object.lock();
            // Others may expect some of it still.
            let done: Vec<_> = self.kept.iter().filter(|kept| kept.let_go()).collect();
            all.retain(|kept| !done.iter().any(|done| Arc::ptr_eq(done, kept)));
        }
    }
}

impl ObjectFile {
    pub fn new(object: Object) -> Self {
        Self { object, room: PrefetchRoom::default(), kept: Mutex::default(), wanted: Mutex::default() }
    }

    pub const fn object(&self) -> &Object {
        &self.object
    }

    pub fn fingerprint(&self) -> Result<Fingerprint> {
        Ok(Fingerprint::of_object(&self.object.wait(self.object.now())?))
    }

    /// Reads what stands at `at`: what is kept, or else from the store.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<usize> {
        let end = self.object.entry().len.min(at.saturating_add(bytes.len() as u64));
        if at >= end {
            return Ok(0);
        }
        let (kept, end) = self.kept_at(at, end);
        if let Some(kept) = kept {
            return Ok(kept.read_at(bytes, at)?);
        }
        let fetched = self.object.wait(self.object.fetch(at..end))?;
        bytes[..fetched.len()].copy_from_slice(&fetched);
        Ok(fetched.len())
    }

    /// What has the byte at `at`, or where before `end` something begins that is kept.
    pub fn kept_at(&self, at: u64, end: u64) -> (Option<Arc<KeptRange>>, u64) {
        let mut kept = self.lock();
        kept.retain(|kept| !kept.has_failed());
        let here = kept.iter().find(|kept| kept.range().contains(&at)).cloned();
        let next = kept.iter().map(|kept| kept.range().start).filter(|start| *start > at).min();
        (here, next.map_or(end, |next| next.min(end)))
    }

    pub fn keep_passing(&self, groups: Vec<Vec<Range<u64>>>) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    /// A part of it from front to back. What is wanted of it is kept as it passes.
    pub fn onward(self: &Arc<Self>, part: Range<u64>) -> Passage {
        let wanted = std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = self.lock();
        let mut passing = Vec::new();
        let mut failed = None;
        for group in wanted {
            let group: Vec<_> =
                group.into_iter().filter(|range| range.start >= part.start && range.end <= part.end).collect();
            match self.keep(&mut all, &group) {
                Ok((_, new)) => passing.extend(new),
                Err(fault) => failed = Some(fault),
            }
        }
        drop(all);
        Passage::new(Arc::clone(self), part, passing, failed)
    }

    /// Has these ranges fetched, but for what is kept of them already.
    pub fn expect(self: &Arc<Self>, ranges: &[Range<u64>]) -> Prefetch {
        let object = Some(Arc::clone(self));
        // Held before another reader lets go of what is kept, and with it of all that nobody holds.
        let mut all = self.lock();
        let (kept, new) = match self.keep(&mut all, ranges) {
            Ok(kept) => kept,
            Err(fault) => return Prefetch { object, kept: Vec::new(), failed: Some(fault), fetching: None },
        };
        for kept in &kept {
            kept.hold();
        }
        drop(all);
        let fetching = (!new.is_empty()).then(|| {
            let object = self.object.clone();
            self.object.spawn(async move {
                let new = futures::stream::iter(new);
                new.for_each_concurrent(RANGES_AT_ONCE, |kept| fetch(object.clone(), kept)).await;
            })
        });
        Prefetch { object, kept, failed: None, fetching }
    }

    /// Makes room for what is not kept of these ranges. Gives all that is kept of them then, and of that what is new.
    fn keep(&self, kept: &mut Pieces, ranges: &[Range<u64>]) -> std::result::Result<(Pieces, Pieces), Fault> {
        kept.retain(|kept| !kept.has_failed());
        let (mut all, mut new) = (Vec::new(), Vec::new());
        for range in merged(ranges) {
            let mut here: Vec<_> = kept.iter().filter(|kept| overlap(kept.range(), &range)).cloned().collect();
            here.sort_by_key(|kept| kept.range().start);
            for gap in gaps(&range, here.iter().map(|kept| kept.range())) {
                new.push(Arc::new(self.room.keep(gap)?));
            }
            all.extend(here);
        }
        kept.extend(new.iter().cloned());
        all.extend(new.iter().cloned());
        Ok((all, new))
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills what is kept.
async fn fetch(object: Object, kept: Arc<KeptRange>) {
    // Should nobody wait for it any more, those who do are told.
    let gone = GivenUp(&kept);
    let mut stream = object.stream(kept.range().clone());
    while let Some(piece) = stream.next().await {
        if let Err(fault) = piece.and_then(|piece| kept.append(&piece)) {
            kept.fail(fault);
            break;
        }
    }
    drop(gone);
}

/// Whoever fills it has gone.
pub struct GivenUp<'a>(pub &'a KeptRange);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.fail(Fault::local("reading was given up"));
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Ranges in order, those that touch in one.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.iter().filter(|range| range.start < range.end).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// What these, which are in order, leave of a range.
fn gaps<'a>(range: &Range<u64>, taken: impl Iterator<Item = &'a Range<u64>>) -> Vec<Range<u64>> {
    let (mut gaps, mut at) = (Vec::new(), range.start);
    for taken in taken {
        if taken.start > at {
            gaps.push(at..taken.start);
        }
        at = at.max(taken.end);
    }
    if at < range.end {
        gaps.push(at..range.end);
    }
    gaps
}

#[cfg(test)]
mod tests;
