//! A memory in front of a scorer: a text that comes again gets the score that it had.
//!
//! ```text
//!  texts ──▶ in the table?   ──▶ its score
//!            at the scorer?  ──▶ the score that comes
//!            else, each once ──▶ scorer ──▶ its score, and into the table
//! ```

mod digest;
mod pending;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::{Array, AsArray, StringViewArray, UInt64Array};
use arrow::compute::take;
use futures::FutureExt;
use futures::future::BoxFuture;

use self::digest::{Digest, Digester};
use self::pending::PendingTexts;
use self::table::ScoreMemory;
use crate::classifier::Scores;
use crate::stream::TextScorer;
use crate::{Error, Result};

/// Scores each text once, while its score fits in memory. Clones share the memory.
#[derive(Clone)]
pub struct Dedup {
    scorer: Arc<dyn TextScorer>,
    memory: Arc<Memory>,
}

/// What is known of texts.
struct Memory {
    digester: Digester,
    classes: usize,
    known: Mutex<Known>,
}

struct Known {
    table: ScoreMemory,
    /// Of each text that the scorer has: with which others, and the how manieth of them it is.
    pending: HashMap<Digest, (Weak<PendingTexts>, usize)>,
}

/// A row whose score is to come.
struct PendingRow {
    row: usize,
    /// With which texts the scorer has that of the row; with the new ones if none is named.
    others: Option<Arc<PendingTexts>>,
    /// The how manieth of them.
    text: usize,
    /// Whether the scorer has the text for another row.
    is_repeated: bool,
}

/// The texts of a column that nobody has scored yet, each once.
#[derive(Default)]
struct New {
    /// Where each stands first.
    rows: Vec<u64>,
    digests: Vec<Digest>,
    /// The how manieth each is.
    places: HashMap<Digest, usize>,
}

impl New {
    /// The how manieth of them the text of a row is, and whether another row has it already.
    fn add(&mut self, digest: Digest, row: usize) -> (usize, bool) {
        match self.places.entry(digest) {
            Entry::Occupied(place) => (*place.get(), true),
            Entry::Vacant(place) => {
                self.rows.push(row as u64);
                self.digests.push(digest);
                (*place.insert(self.rows.len() - 1), false)
            }
        }
    }
}

/// What becomes of the rows of a column.
struct Sorted {
    /// Those that have their score have it.
    scores: Scores,
    /// All others that have a text.
    pending: Vec<PendingRow>,
    /// The new texts.
    new: Option<Arc<PendingTexts>>,
}

impl Dedup {
    /// A memory of so many bytes in front of a scorer of so many classes. They are taken now.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not so many, and [`Error::Failed`] if the system has no random numbers.
    pub fn new(scorer: Arc<dyn TextScorer>, classes: usize, bytes: usize) -> Result<Self> {
        let known = Known { table: ScoreMemory::new(bytes, classes)?, pending: HashMap::new() };
        let memory = Memory { digester: Digester::new()?, classes, known: Mutex::new(known) };
        Ok(Self { scorer, memory: Arc::new(memory) })
    }

    async fn score_rows(self, texts: StringViewArray) -> Result<Scores> {
        let Sorted { mut scores, pending, new } = self.sort(&texts)?;
        drop(texts);
        let new = match &new {
            Some(new) => Some(new.scores().await?),
            None => None,
        };
        for PendingRow { row, others, text, is_repeated } in pending {
            let others = match &others {
                Some(others) => Some(others.scores().await?),
                None => None,
            };
            let Some(scored) = others.as_ref().or(new.as_ref()) else { continue };
            match scored.get(text) {
                Some(score) if is_repeated => scores.repeat(row, score),
                Some(score) => scores.fill(row, score),
                None => scored.missed().get(&text).into_iter().for_each(|cause| scores.miss(row, cause.clone())),
            }
        }
        Ok(scores)
    }

    /// Looks each text up, and makes ready what is to be scored.
    fn sort(&self, texts: &StringViewArray) -> Result<Sorted> {
        let digests: Vec<_> = texts.iter().map(|text| text.map(|text| self.memory.digester.digest(text))).collect();
        let mut scores = Scores::nulls(texts.len(), self.memory.classes);
        let (mut pending, mut new) = (Vec::new(), New::default());
        // Let go before pending texts, which take it as they end.
        let mut known = self.memory.lock();
        for (row, digest) in digests.into_iter().enumerate() {
            let Some(digest) = digest else { continue };
            if let Some(score) = known.table.get(&digest) {
                scores.repeat(row, score);
            } else if let Some((others, text)) = known.pending(&digest) {
                pending.push(PendingRow { row, others: Some(others), text, is_repeated: true });
            } else {
                let (text, is_repeated) = new.add(digest, row);
                pending.push(PendingRow { row, others: None, text, is_repeated });
            }
        }
        let new = self.begin(texts, new, &mut known)?;
        Ok(Sorted { scores, pending, new })
    }

    /// Hands new texts over, if there are any.
    fn begin(&self, texts: &StringViewArray, new: New, known: &mut Known) -> Result<Option<Arc<PendingTexts>>> {
        let New { rows, digests, places } = new;
        if rows.is_empty() {
            return Ok(None);
        }
        let chosen = take(texts, &UInt64Array::from(rows), None);
        let texts = chosen.map_err(|cause| Error::Failed(format!("cannot take texts: {cause}")))?;
        let begun = PendingTexts::begin(&self.scorer, &self.memory, texts.as_string_view().clone(), digests.into());
        known.pending.extend(places.into_iter().map(|(digest, text)| (digest, (Arc::downgrade(&begun), text))));
        Ok(Some(begun))
    }
}

impl TextScorer for Dedup {
    fn for_stream(&self) -> Arc<dyn TextScorer> {
        Arc::new(Self { scorer: self.scorer.for_stream(), memory: Arc::clone(&self.memory) })
    }

    fn rows_in_flight(&self) -> usize {
        self.scorer.rows_in_flight()
    }

    fn score(&self, texts: StringViewArray) -> BoxFuture<'static, Result<Scores>> {
        self.clone().score_rows(texts).boxed()
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn pending(&self, digest: &Digest) -> Option<(Arc<PendingTexts>, usize)> {
        let (others, text) = self.pending.get(digest)?;
        Some((others.upgrade()?, *text))
    }
}

#[cfg(test)]
mod tests;
