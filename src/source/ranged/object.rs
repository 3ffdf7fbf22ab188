//! An object that is read by range: what was fetched ahead is kept, so that the store gives each byte once.

use std::collections::BTreeMap;
use std::io::Result;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use super::Passage;
use super::kept::{KeptRange, PrefetchRoom};
use crate::source::Fingerprint;
use crate::store::{Fault, Object};

/// Ranges that are fetched at the same time.
const RANGES_AT_ONCE: usize = 2;

type Kept = Vec<Arc<KeptRange>>;

/// Ranges by their starts, none of which overlap.
type Ranges = BTreeMap<u64, Arc<KeptRange>>;

/// An object, and what is kept of it.
#[derive(Debug)]
pub struct ObjectFile {
    object: Object,
    room: Arc<PrefetchRoom>,
    kept: Mutex<Ranges>,
    /// What is to be kept as it passes.
    wanted: Mutex<Vec<Vec<Range<u64>>>>,
}

/// Ranges of a file that are there, or on their way, until this is dropped.
#[derive(Debug, Default)]
pub struct Prefetch {
    object: Option<Arc<ObjectFile>>,
    kept: Kept,
    /// Whoever fetches any of it, also for others.
    fetching: Vec<Arc<Fetching>>,
}

/// Who fetches ranges, until nobody expects them any more.
pub type Fetching = AbortOnDropHandle<()>;

impl Prefetch {
    /// Waits until all of it is there. Blocks.
    ///
    /// # Errors
    /// What the store says, with where.
    pub fn ready(&self) -> crate::Result<()> {
        let Some(file) = &self.object else { return Ok(()) };
        let ready = self.kept.iter().try_for_each(|kept| kept.ready());
        ready.map_err(|fault| fault.at(file.object.url()))
    }
}

impl Prefetch {
    /// Where the last of it ends.
    pub fn end(&self) -> u64 {
        self.kept.last().map_or(0, |kept| kept.range().end)
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.fetching.clear();
        if let Some(object) = &self.object {
            object.let_go(self.kept.iter());
        }
    }
}

impl ObjectFile {
    pub fn new(object: Object) -> Self {
        Self { object, room: Arc::default(), kept: Mutex::default(), wanted: Mutex::default() }
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
        let mut all = self.lock();
        let next = all.range((Bound::Excluded(at), Bound::Unbounded)).next().map_or(end, |(start, _)| end.min(*start));
        (overlapping(&mut all, &(at..at + 1)).pop(), next)
    }

    pub fn keep_passing(&self, groups: Vec<Vec<Range<u64>>>) {
        *self.wanted() = groups;
    }

    /// Has no use for these any more. Others may expect some of them still, and so does what will pass.
    pub fn let_go<'a>(&self, kept: impl Iterator<Item = &'a Arc<KeptRange>>) {
        let mut all = self.lock();
        let is_to_pass = !self.wanted().is_empty();
        kept.filter(|kept| kept.let_go() && !is_to_pass).for_each(|kept| forget(&mut all, kept));
    }

    fn wanted(&self) -> MutexGuard<'_, Vec<Vec<Range<u64>>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of it from front to back. What is wanted of it is kept as it passes.
    pub fn onward(self: &Arc<Self>, part: Range<u64>) -> Passage {
        let mut all = self.lock();
        let wanted = std::mem::take(&mut *self.wanted());
        let (mut passing, mut held) = (Vec::new(), Vec::new());
        for mut group in wanted {
            group.retain(|range| range.start >= part.start && range.end <= part.end);
            let (kept, new) = self.keep(&mut all, &group);
            // What a reader has asked for already is not asked for again.
            let here = kept.into_iter().filter(|kept| !new.iter().any(|new| Arc::ptr_eq(new, kept)));
            held.extend(here.map(|kept| self.held(vec![kept])));
            passing.extend(new);
        }
        drop(all);
        Passage::new(Arc::clone(self), part, passing, held)
    }

    /// Has these ranges fetched, but for what is kept of them already.
    pub fn expect(self: &Arc<Self>, ranges: &[Range<u64>]) -> Prefetch {
        // Held before another reader lets go of what is kept, and with it of all that nobody holds.
        let mut all = self.lock();
        let (kept, new) = self.keep(&mut all, ranges);
        let begun = (!new.is_empty()).then(|| {
            let (object, ranges) = (self.object.clone(), futures::stream::iter(new.clone()));
            Arc::new(self.object.spawn(async move {
                ranges.for_each_concurrent(RANGES_AT_ONCE, |kept| fetch(object.clone(), kept)).await;
            }))
        });
        if let Some(begun) = &begun {
            for kept in &new {
                kept.is_fetched_by(begun);
            }
        }
        self.held(kept)
    }

    fn held(self: &Arc<Self>, kept: Kept) -> Prefetch {
        let fetching = kept.iter().filter_map(|kept| kept.hold()).collect();
        Prefetch { object: Some(Arc::clone(self)), kept, fetching }
    }

    /// Adds what is not kept of these ranges. Gives all that is kept of them then, and of that what is new.
    fn keep(&self, all: &mut Ranges, ranges: &[Range<u64>]) -> (Kept, Kept) {
        let (mut kept, mut new) = (Vec::new(), Vec::new());
        for range in merged(ranges) {
            let here = overlapping(all, &range);
            for gap in gaps(&range, here.iter().map(|kept| kept.range())) {
                new.push(Arc::new(KeptRange::new(&self.room, gap)));
            }
            kept.extend(here);
        }
        all.extend(new.iter().map(|kept| (kept.range().start, Arc::clone(kept))));
        kept.extend(new.iter().cloned());
        (kept, new)
    }

    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a range, in order, without what has failed: that is forgotten.
fn overlapping(all: &mut Ranges, range: &Range<u64>) -> Kept {
    let before = all.range(..range.start).next_back().filter(|(_, kept)| kept.range().end > range.start);
    let first = before.map_or(range.start, |(start, _)| *start);
    let here: Kept = all.range(first..range.end).map(|(_, kept)| Arc::clone(kept)).collect();
    let (failed, kept): (Kept, Kept) = here.into_iter().partition(|kept| kept.is_lost());
    for failed in &failed {
        forget(all, failed);
    }
    kept
}

/// Keeps it no longer, unless another is there instead.
fn forget(all: &mut Ranges, kept: &Arc<KeptRange>) {
    let start = kept.range().start;
    if all.get(&start).is_some_and(|there| Arc::ptr_eq(there, kept)) {
        all.remove(&start);
    }
}

/// Fills what is kept.
async fn fetch(object: Object, kept: Arc<KeptRange>) {
    // Should nobody wait for it any more, those who do are told.
    let gone = GivenUp(&kept);
    let mut stream = object.stream(kept.range().clone());
    while let Some(piece) = stream.next().await {
        let added = match piece {
            Ok(piece) => add(&kept, piece).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = added {
            kept.fail(fault);
            break;
        }
    }
    drop(gone);
}

/// Adds a piece on a thread that may wait for a disk.
async fn add(kept: &Arc<KeptRange>, piece: Bytes) -> std::result::Result<(), Fault> {
    let kept = Arc::clone(kept);
    spawn_blocking(move || kept.append(&piece)).await.unwrap_or_else(|died| Err(Fault::local(died)))
}

/// Whoever fills it has gone.
pub struct GivenUp<'a>(pub &'a KeptRange);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.fail(Fault::local("reading was given up"));
    }
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
