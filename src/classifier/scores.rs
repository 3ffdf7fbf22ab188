//! What scoring a column of texts gives: columns again, one entry a row.

use std::collections::BTreeMap;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, NullBuffer};

use crate::{Error, Result};

/// The scores of a column, row for row. A row whose text was null has none, and one that could not be scored neither.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    classes: usize,
    /// `[rows, classes]`, 0 in a row without a score.
    probabilities: Vec<f32>,
    labels: Vec<u32>,
    tokens: Vec<i32>,
    truncated: Vec<bool>,
    valid: Vec<bool>,
    missed: BTreeMap<usize, String>,
    repeated: usize,
}

impl Scores {
    /// `rows` rows without a score, of a model with so many classes.
    pub fn nulls(rows: usize, classes: usize) -> Self {
        Self {
            classes,
            probabilities: vec![0.0; rows * classes],
            labels: vec![0; rows],
            tokens: vec![0; rows],
            truncated: vec![false; rows],
            valid: vec![false; rows],
            missed: BTreeMap::new(),
            repeated: 0,
        }
    }

    /// Fills a row from the score of its token sequence.
    pub fn set(&mut self, row: usize, score: &Score, tokens: usize, truncated: bool) {
        let Score { label, probabilities } = score;
        let tokens = i32::try_from(tokens).unwrap_or(i32::MAX);
        self.fill(row, TextScore { label: *label, probabilities, tokens, truncated });
    }

    /// Fills a row.
    pub fn fill(&mut self, row: usize, score: TextScore<'_>) {
        self.probabilities[row * self.classes..][..self.classes].copy_from_slice(score.probabilities);
        self.labels[row] = score.label;
        self.tokens[row] = score.tokens;
        self.truncated[row] = score.truncated;
        self.valid[row] = true;
    }

    /// Fills the rows from `start` on with those of a part, of the same model.
    pub fn put(&mut self, start: usize, part: &Self) {
        let (rows, values) = (start..start + part.len(), start * self.classes..(start + part.len()) * self.classes);
        self.probabilities[values].copy_from_slice(&part.probabilities);
        self.labels[rows.clone()].copy_from_slice(&part.labels);
        self.tokens[rows.clone()].copy_from_slice(&part.tokens);
        self.truncated[rows.clone()].copy_from_slice(&part.truncated);
        self.valid[rows].copy_from_slice(&part.valid);
        self.missed.extend(part.missed.iter().map(|(row, cause)| (start + row, cause.clone())));
        self.repeated += part.repeated;
    }

    /// Fills a row with what the same text had elsewhere.
    pub fn repeat(&mut self, row: usize, score: TextScore<'_>) {
        self.fill(row, score);
        self.repeated += 1;
    }

    /// The score of a row, if it has one.
    pub fn get(&self, row: usize) -> Option<TextScore<'_>> {
        self.valid[row].then(|| TextScore {
            label: self.labels[row],
            probabilities: &self.probabilities[row * self.classes..][..self.classes],
            tokens: self.tokens[row],
            truncated: self.truncated[row],
        })
    }

    /// Rows that the model had to score: those that have a score, without those that are known from the same text.
    pub fn computed(&self) -> usize {
        self.valid.iter().filter(|valid| **valid).count() - self.repeated
    }

    /// Takes note why a row has no score.
    pub fn miss(&mut self, row: usize, cause: String) {
        self.missed.insert(row, cause);
    }

    /// The rows that could not be scored, and why, in their order.
    pub const fn missed(&self) -> &BTreeMap<usize, String> {
        &self.missed
    }

    /// The same, if every row that has a text has a score.
    ///
    /// # Errors
    /// [`Error::Unscorable`] that names the first row that has none.
    pub fn whole(self) -> Result<Self> {
        match self.missed.first_key_value() {
            None => Ok(self),
            Some((row, cause)) => Err(Error::Unscorable { row: *row, cause: cause.clone() }),
        }
    }

    /// Rows, those without a score included.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Classes of the model.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The class of a row, if it has a score.
    pub fn label(&self, row: usize) -> Option<usize> {
        self.valid[row].then(|| self.labels[row] as usize)
    }

    /// The probability of a row's class, if it has a score.
    pub fn confidence(&self, row: usize) -> Option<f32> {
        self.label(row).map(|class| self.probabilities[row * self.classes + class])
    }

    /// All probabilities, `[rows, classes]`, 0 in a row without a score.
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// Token counts before truncation, with the special ones, a row each.
    pub fn tokens(&self) -> &[i32] {
        &self.tokens
    }

    /// Which rows were truncated.
    pub fn truncated(&self) -> BooleanBuffer {
        BooleanBuffer::from(self.truncated.as_slice())
    }

    /// Which rows have a score; `None` where all have.
    pub fn nulls_buffer(&self) -> Option<NullBuffer> {
        let mut valid = BooleanBufferBuilder::new(self.len());
        valid.append_slice(&self.valid);
        Some(NullBuffer::new(valid.finish())).filter(|nulls| nulls.null_count() > 0)
    }
}

/// The score of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextScore<'a> {
    /// The class.
    pub label: u32,
    /// A probability a class.
    pub probabilities: &'a [f32],
    /// Tokens before truncation, with the special ones.
    pub tokens: i32,
    /// Whether it was truncated.
    pub truncated: bool,
}

/// What became of a batch: why it could not run, or of each of its sequences the score, or why it has none.
pub type BatchScores = Result<Vec<Result<Score>>>;

/// The score of one token sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The class.
    pub label: u32,
    /// A probability a class.
    pub probabilities: Box<[f32]>,
}
