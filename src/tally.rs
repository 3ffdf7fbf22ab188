//! Counts rows as they are scored: bounded in size whatever the job, and the same whatever batches and files it was added
//! up from. A job keeps it beside its output, so that one that goes on where it was broken off knows the whole.

mod accuracy;
mod by_class;
mod confidence;
mod examples;
mod lengths;

use serde::{Deserialize, Serialize};

pub use self::accuracy::{Accuracy, Confusion};
pub use self::by_class::ByClass;
pub use self::confidence::Confidences;
pub use self::examples::{Example, Examples};
pub use self::lengths::{LengthBin, Lengths};
use crate::classifier::Scores;
use crate::stream::Scored;
use crate::table::ColumnTexts;

/// Where the rows of a batch stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file, as people know it.
    pub file: &'a str,
    /// Its rows before this one.
    pub row: u64,
}

/// What was counted. A row may have no text, and one of lists several, so texts are counted, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows read.
    pub rows: u64,
    /// Texts that are null.
    pub nulls: u64,
    /// Texts that could not be scored.
    pub errors: u64,
    /// Texts of each label, in class order.
    pub labels: Vec<(String, u64)>,
    /// Texts that the model did not see the end of.
    pub truncated: u64,
    /// Tokens of all scored texts before they were cut, with the special ones.
    pub tokens: u64,
    /// Scored texts that the model did not see, since it had seen the same before.
    pub saved: u64,
    /// How sure the model was.
    pub confidences: Confidences,
    /// How long the texts were.
    pub lengths: Lengths,
    /// The texts of which it was most and least sure.
    pub examples: Examples,
    /// How many labels were right, where right answers are known.
    pub accuracy: Option<Accuracy>,
    /// Which labels were taken for which, unless there are too many classes.
    pub confusion: Option<Confusion>,
}

impl Tally {
    /// Nothing counted yet. `judged` says whether right answers will come.
    pub fn new(classes: &[String], judged: bool) -> Self {
        Self {
            rows: 0,
            nulls: 0,
            errors: 0,
            labels: classes.iter().map(|class| (class.clone(), 0)).collect(),
            truncated: 0,
            tokens: 0,
            saved: 0,
            confidences: Confidences::default(),
            lengths: Lengths::default(),
            examples: Examples::default(),
            accuracy: judged.then(Accuracy::default),
            confusion: judged.then(|| Confusion::new(classes.len())).flatten(),
        }
    }

    /// Counts a batch whose first row stands at `first`. `truths` has the right class of each row, where it is known.
    pub fn add<T>(&mut self, first: Place<'_>, scored: &Scored<T>, truths: &[Option<usize>]) {
        self.rows += scored.batch.num_rows() as u64;
        for (texts, scores) in scored.texts.iter().zip(&scored.scores) {
            self.add_column(first, texts, scores, truths);
        }
    }

    fn add_column(&mut self, first: Place<'_>, texts: &ColumnTexts, scores: &Scores, truths: &[Option<usize>]) {
        let (tokens, truncated) = (scores.tokens(), scores.truncated());
        let mut labelled = 0;
        for (row, text) in texts.layout.walk(scores.len()) {
            let Some((text, label, confidence)) = text.and_then(|text| scored(scores, text)) else {
                self.add_unlabelled(text, texts, scores);
                continue;
            };
            labelled += 1;
            self.add_label(label, truths.get(row).copied().flatten());
            self.truncated += u64::from(truncated.value(text));
            let length = u32::try_from(tokens[text]).unwrap_or_default();
            self.tokens += u64::from(length);
            self.lengths.add(length);
            self.confidences.add(confidence);
            let place = Place { row: first.row + row as u64, ..first };
            let label = self.labels.get(label).map_or("", |(name, _)| name);
            self.examples.offer(place, texts.values.value(text), label, confidence);
        }
        // What a dictionary or a run holds once, or was scored before, is not scored again.
        self.saved += u64::saturating_sub(labelled, scores.computed() as u64);
    }

    fn add_label(&mut self, label: usize, truth: Option<usize>) {
        if let Some((_, texts)) = self.labels.get_mut(label) {
            *texts += 1;
        }
        let Some(truth) = truth else { return };
        if let Some(accuracy) = &mut self.accuracy {
            accuracy.add(label == truth);
        }
        if let Some(confusion) = &mut self.confusion {
            confusion.add(truth, label);
        }
    }

    fn add_unlabelled(&mut self, text: Option<usize>, texts: &ColumnTexts, scores: &Scores) {
        let failed = |text| texts.unreadable.contains_key(&text) || scores.missed().contains_key(&text);
        if text.is_some_and(failed) {
            self.errors += 1;
        } else {
            self.nulls += 1;
        }
    }

    /// Adds what was counted elsewhere, for the same classes.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.errors += other.errors;
        for ((_, texts), (_, more)) in self.labels.iter_mut().zip(&other.labels) {
            *texts += more;
        }
        self.truncated += other.truncated;
        self.tokens += other.tokens;
        self.saved += other.saved;
        self.confidences.merge(&other.confidences);
        self.lengths.merge(&other.lengths);
        self.examples.merge(&other.examples);
        if let (Some(accuracy), Some(more)) = (&mut self.accuracy, &other.accuracy) {
            accuracy.merge(*more);
        }
        if let (Some(confusion), Some(more)) = (&mut self.confusion, &other.confusion) {
            confusion.merge(more);
        }
    }
}

/// A text's number, class and confidence, if it has a score.
fn scored(scores: &Scores, text: usize) -> Option<(usize, usize, f32)> {
    Some((text, scores.label(text)?, scores.confidence(text)?))
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
