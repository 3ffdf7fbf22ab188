//! The scores of texts by their digests, in memory that is there from the start and never more.

use super::digest::Digest;
use crate::classifier::TextScore;
use crate::{Error, Result};

/// Entries in a row, one of which a text may have.
const WAYS: usize = 16;

/// Scores of the texts that were asked for last, more or less: where all entries of a new text are taken, one makes room that was not
/// asked for since a newcomer looked at it last.
pub struct ScoreMemory {
    entries: Vec<Entry>,
    /// `[entries, classes]`
    probabilities: Vec<f32>,
    classes: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    digest: Digest,
    label: u32,
    tokens: i32,
    truncated: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    /// Nobody has asked for it since it came, or since a newcomer passed it over.
    Idle,
    Asked,
}

impl Entry {
    const EMPTY: Self = Self { digest: Digest::ZERO, label: 0, tokens: 0, truncated: false, state: State::Empty };

    fn is_of(&self, digest: &Digest) -> bool {
        self.state != State::Empty && self.digest == *digest
    }
}

impl ScoreMemory {
    /// A table of at most so many bytes, for scores of so many classes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is not that much memory.
    pub fn new(bytes: usize, classes: usize) -> Result<Self> {
        let entries = bytes / (size_of::<Entry>() + classes * size_of::<f32>());
        let none = |cause| Error::Invalid(format!("no {bytes} bytes of memory for the scores of equal texts: {cause}"));
        let mut table = Self { entries: Vec::new(), probabilities: Vec::new(), classes };
        table.entries.try_reserve_exact(entries).map_err(none)?;
        table.probabilities.try_reserve_exact(entries * classes).map_err(none)?;
        // Written to, so that it is taken now and not as texts come.
        table.entries.resize(entries, Entry::EMPTY);
        table.probabilities.resize(entries * classes, f32::NAN);
        Ok(table)
    }

    /// The score of a text, if it is still there.
    pub fn get(&mut self, digest: &Digest) -> Option<TextScore<'_>> {
        let at = self.ways(digest).find(|at| self.entries[*at].is_of(digest))?;
        self.entries[at].state = State::Asked;
        let Entry { label, tokens, truncated, .. } = self.entries[at];
        let probabilities = &self.probabilities[at * self.classes..][..self.classes];
        Some(TextScore { label, probabilities, tokens, truncated })
    }

    /// Keeps a score.
    pub fn insert(&mut self, digest: &Digest, score: TextScore<'_>) {
        let Some(at) = self.room(digest) else { return };
        let TextScore { label, probabilities, tokens, truncated } = score;
        self.entries[at] = Entry { digest: *digest, label, tokens, truncated, state: State::Idle };
        self.probabilities[at * self.classes..][..self.classes].copy_from_slice(probabilities);
    }

    /// The entry that a text gets; none where not even one fits.
    fn room(&mut self, digest: &Digest) -> Option<usize> {
        let there = |at: &usize| self.entries[*at].is_of(digest) || self.entries[*at].state == State::Empty;
        if let Some(at) = self.ways(digest).find(there) {
            return Some(at);
        }
        // Texts begin to look at different entries, so that none is always the first to go.
        let turned = self.ways(digest).cycle().skip(digest.turn() % WAYS).take(WAYS);
        let first = turned.clone().next();
        for at in turned {
            if self.entries[at].state == State::Idle {
                return Some(at);
            }
            self.entries[at].state = State::Idle;
        }
        first
    }

    /// Entries that a text may have.
    fn ways(&self, digest: &Digest) -> impl Iterator<Item = usize> + Clone + use<> {
        let len = self.entries.len();
        let start = digest.place(len);
        (start..start + WAYS.min(len)).map(move |at| if at < len { at } else { at - len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::dedup::digest::Digester;

    fn digests(count: usize) -> Vec<Digest> {
        let digester = Digester::new().unwrap();
        (0..count).map(|number| digester.digest(&number.to_string())).collect()
    }

    fn score(number: usize) -> TextScore<'static> {
        const PROBABILITIES: [[f32; 2]; 2] = [[0.75, 0.25], [0.125, 0.875]];
        let label = number % 2;
        let (tokens, truncated) = (number as i32, number.is_multiple_of(3));
        TextScore { label: label as u32, probabilities: &PROBABILITIES[label], tokens, truncated }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut table = ScoreMemory::new(1 << 16, 2).unwrap();
        let digests = digests(500);
        for (number, digest) in digests.iter().enumerate() {
            assert_eq!(table.get(digest), None);
            table.insert(digest, score(number));
        }
        assert!(digests.iter().enumerate().all(|(number, digest)| table.get(digest) == Some(score(number))));
        table.insert(&digests[7], score(8));
        assert_eq!(table.get(&digests[7]), Some(score(8)), "it is there once");
    }

    #[test]
    fn all_memory_is_there_from_the_start() {
        for (bytes, classes) in [(1 << 22, 2), (1 << 16, 3), (100, 2), (36, 2)] {
            let mut table = ScoreMemory::new(bytes, classes).unwrap();
            let held = |table: &ScoreMemory| {
                let ScoreMemory { entries, probabilities, .. } = table;
                entries.capacity() * size_of::<Entry>() + size_of_val(&probabilities[..])
            };
            let before = held(&table);
            assert!(before <= bytes && bytes - before < 64, "{before} of {bytes} bytes");
            let digests = digests(if bytes < 1000 { 100 } else { 1000 });
            let score = TextScore { probabilities: &[0.0; 3][..classes], ..score(1) };
            for digest in &digests {
                table.insert(digest, score);
            }
            assert_eq!(held(&table), before);
        }
        assert!(matches!(ScoreMemory::new(usize::MAX, 2), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_table_without_room_keeps_nothing() {
        let mut table = ScoreMemory::new(35, 2).unwrap();
        for digest in digests(10) {
            table.insert(&digest, score(1));
            assert_eq!(table.get(&digest), None);
        }
    }

    /// Texts that come now and then outlive a flood of others that is larger than the table, and give way once they come no more.
    #[test]
    fn what_is_asked_for_stays() {
        let mut table = ScoreMemory::new(36 * 1000, 2).unwrap();
        let digests = digests(12_000);
        let (wanted, flood) = digests.split_at(200);
        let there = |table: &mut ScoreMemory| {
            let mut there = 0;
            for digest in wanted {
                match table.get(digest) {
                    Some(_) => there += 1,
                    None => table.insert(digest, score(0)),
                }
            }
            there
        };
        there(&mut table);
        let mut found = 0;
        for others in flood.chunks(200).take(25) {
            for digest in others {
                table.insert(digest, score(1));
            }
            found += there(&mut table);
        }
        for digest in &flood[5000..] {
            table.insert(digest, score(1));
        }
        let left = there(&mut table);
        assert!(found > 25 * 160 && left < 20, "{found} of 5000 found, {left} of 200 left");
    }
}
