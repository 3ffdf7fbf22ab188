//! Rows that are tokenized and wait: equal sequences together, ordered by length and by age, until a runner takes what it has
//! room for. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::classifier::batch::{Batch, BatchLimits};

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Sequences.
    pub rows: usize,
    /// Their tokens.
    pub tokens: usize,
}

impl Backlog {
    /// How many whole batches there are in it, by rows or by tokens, whichever fill more.
    pub fn wholes(self, batch: BatchLimits) -> usize {
        (self.rows / batch.rows.max(1)).max(self.tokens / batch.tokens.max(1))
    }

    /// Whether so many batches have room for all of it.
    pub const fn fits(self, batches: usize, batch: BatchLimits) -> bool {
        self.rows <= batch.rows.saturating_mul(batches) && self.tokens <= batch.tokens.saturating_mul(batches)
    }

    const fn add(&mut self, rows: usize, length: usize) {
        self.rows += rows;
        self.tokens += rows * length;
    }

    const fn remove(&mut self, rows: usize, length: usize) {
        self.rows -= rows;
        self.tokens -= rows * length;
    }
}

/// Where a sequence stands: by its length, then by its hash, so that equal ones find one another, then by when it came.
type Place = (usize, u64, u64);

struct Entry<R> {
    place: Place,
    sequence: Vec<u32>,
    rows: Vec<R>,
}

/// The pool of one lane. Each operation on a sequence takes a time that grows with the logarithm of how many wait.
pub struct Pool<R> {
    /// By when they came.
    entries: BTreeMap<u64, Entry<R>>,
    places: BTreeSet<Place>,
    next: u64,
    distinct: Backlog,
    all: Backlog,
}

impl<R> Default for Pool<R> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            places: BTreeSet::new(),
            next: 0,
            distinct: Backlog::default(),
            all: Backlog::default(),
        }
    }
}

impl<R> Pool<R> {
    /// What there is to compute: equal sequences count once.
    pub const fn distinct(&self) -> Backlog {
        self.distinct
    }

    /// All rows, equal ones included.
    pub const fn all(&self) -> Backlog {
        self.all
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.entries.values().flat_map(|entry| &entry.rows)
    }

    /// Adds a row. It waits as long as the first that has the same sequence.
    pub fn push(&mut self, sequence: Vec<u32>, row: R) {
        let (length, hash) = (sequence.len(), hash(&sequence));
        self.all.add(1, length);
        let alike = self.places.range((length, hash, 0)..=(length, hash, u64::MAX));
        let equal =
            alike.map(|place| place.2).find(|came| self.entries.get(came).is_some_and(|e| e.sequence == sequence));
        if let Some(entry) = equal.and_then(|came| self.entries.get_mut(&came)) {
            entry.rows.push(row);
            return;
        }
        let place = (length, hash, self.next);
        self.distinct.add(1, length);
        self.places.insert(place);
        self.entries.insert(self.next, Entry { place, sequence, rows: vec![row] });
        self.next += 1;
    }

    /// Takes a batch around the sequence that has waited longest: its neighbours in length on both sides, the nearest first,
    /// until there is no room for the next. So none waits for ever, and like lengths stand together: a kernel that pads finds
    /// little to pad, and one that does not is seldom surprised. Neighbours are looked for among the oldest alone, as many as
    /// `among` has room for. Rows that nobody wants are dropped. Nothing when none is left.
    pub fn take(
        &mut self,
        limits: BatchLimits,
        among: BatchLimits,
        is_wanted: impl Fn(&R) -> bool,
    ) -> Option<Batch<R>> {
        let mut taken = Taken::new(limits);
        let oldest = loop {
            let oldest = self.entries.first_key_value()?.1.place;
            taken.add(self.remove(oldest), &is_wanted);
            if !taken.is_empty() {
                break oldest;
            }
        };
        let youngest = self.oldest(among).last().unwrap_or(0);
        let (mut rows, mut tokens) = (taken.entries.len(), taken.tokens);
        let has_room = |place: &Place| {
            rows += 1;
            tokens += place.0;
            rows <= limits.rows && tokens <= limits.tokens
        };
        let neighbours: Vec<Place> = self.nearest_first(oldest, youngest).take_while(has_room).collect();
        for next in neighbours {
            taken.add(self.remove(next), &is_wanted);
        }
        Some(taken.into_batch())
    }

    /// When those came that have waited longest, as many as fill `among`.
    fn oldest(&self, among: BatchLimits) -> impl Iterator<Item = u64> {
        let mut size = Backlog::default();
        self.entries.iter().map_while(move |(came, entry)| {
            let is_among = size.wholes(among) < 1;
            size.add(1, entry.place.0);
            is_among.then_some(*came)
        })
    }

    /// Those that came no later than `youngest`, the nearest in length to a place first.
    fn nearest_first(&self, to: Place, youngest: u64) -> impl Iterator<Item = Place> {
        let is_among = move |place: &&Place| place.2 <= youngest;
        let mut shorter = self.places.range(..to).rev().filter(is_among).copied().peekable();
        let mut longer = self.places.range(to..).filter(is_among).copied().peekable();
        std::iter::from_fn(move || match (shorter.peek(), longer.peek()) {
            (Some(below), Some(above)) if to.0 - below.0 < above.0 - to.0 => shorter.next(),
            (_, Some(_)) => longer.next(),
            (_, None) => shorter.next(),
        })
    }

    /// Takes one of so many shares of all there is: of those that have room in it the longest first. For when each share goes
    /// to somebody who is idle, so that all end together. Nothing when no row is left that somebody wants.
    pub fn take_share(&mut self, of: usize, limits: BatchLimits, is_wanted: impl Fn(&R) -> bool) -> Option<Batch<R>> {
        let share = limits.tokens.min(self.distinct.tokens.div_ceil(of.max(1)));
        let mut taken = Taken::new(BatchLimits { tokens: share, ..limits });
        while taken.has_rows_left() {
            let longest = if taken.is_empty() { usize::MAX } else { taken.tokens_left() };
            let Some(next) = self.places.range(..=(longest, u64::MAX, u64::MAX)).next_back().copied() else { break };
            taken.add(self.remove(next), &is_wanted);
        }
        Some(taken.into_batch()).filter(|batch| !batch.sequences.is_empty())
    }

    fn remove(&mut self, place: Place) -> Option<Entry<R>> {
        self.places.remove(&place);
        let entry = self.entries.remove(&place.2)?;
        self.distinct.remove(1, place.0);
        self.all.remove(entry.rows.len(), place.0);
        Some(entry)
    }
}

/// The same in every process, so that batches are, too. Who finds sequences of one hash makes each cost a look at the others.
fn hash(sequence: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    sequence.hash(&mut hasher);
    hasher.finish()
}

/// A batch in the making.
struct Taken<R> {
    entries: Vec<Entry<R>>,
    tokens: usize,
    limits: BatchLimits,
}

impl<R> Taken<R> {
    const fn new(limits: BatchLimits) -> Self {
        Self { entries: Vec::new(), tokens: 0, limits }
    }

    const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    const fn has_rows_left(&self) -> bool {
        self.entries.is_empty() || self.entries.len() < self.limits.rows
    }

    const fn tokens_left(&self) -> usize {
        self.limits.tokens.saturating_sub(self.tokens)
    }

    fn add(&mut self, entry: Option<Entry<R>>, is_wanted: impl Fn(&R) -> bool) {
        let Some(mut entry) = entry else { return };
        entry.rows.retain(is_wanted);
        if !entry.rows.is_empty() {
            self.tokens += entry.sequence.len();
            self.entries.push(entry);
        }
    }

    fn into_batch(mut self) -> Batch<R> {
        self.entries.sort_unstable_by_key(|entry| Reverse(entry.place));
        let mut batch = Batch::default();
        self.entries.into_iter().for_each(|entry| batch.push(entry.sequence, entry.rows));
        batch
    }
}

#[cfg(test)]
mod tests;
