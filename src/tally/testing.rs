//! Tallies of rows that tests make up.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};

use super::{Place, Tally};
use crate::classifier::{Score, Scores};
use crate::stream::Scored;
use crate::table::ColumnTexts;

/// A row with one text, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub text: Option<&'static str>,
    pub label: Option<usize>,
    pub confidence: f32,
    pub tokens: usize,
    pub truncated: bool,
    pub truth: Option<usize>,
}

impl Row {
    pub fn of(label: usize) -> Self {
        let (text, label) = (Some("a text"), Some(label));
        Self { text, label, confidence: 0.90625, tokens: 3, truncated: false, truth: None }
    }

    pub fn null() -> Self {
        Self { text: None, label: None, ..Self::of(0) }
    }

    pub fn error() -> Self {
        Self { label: None, ..Self::of(0) }
    }
}

pub fn classes() -> [String; 2] {
    ["NEGATIVE", "POSITIVE"].map(str::to_owned)
}

/// A batch of such rows.
pub fn batch(rows: &[Row]) -> Scored<()> {
    let values: StringViewArray = rows.iter().map(|row| row.text).collect();
    let mut scores = Scores::nulls(rows.len(), 2);
    for (number, row) in rows.iter().enumerate() {
        match row.label {
            Some(label) => {
                let mut probabilities = [1.0 - row.confidence; 2];
                probabilities[label] = row.confidence;
                let score = Score { label: label as u32, probabilities: probabilities.into() };
                scores.set(number, &score, row.tokens, row.truncated);
            }
            None if row.text.is_some() => scores.miss(number, "of a reason".to_owned()),
            None => {}
        }
    }
    let column = Arc::new(values) as ArrayRef;
    let texts = ColumnTexts::read(&column, &[]).unwrap();
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    Scored { batch, texts: vec![texts], scores: vec![scores], columns: Vec::new(), rest: () }
}

/// The tally of the file `a.parquet` that has these rows.
pub fn tally(rows: &[Row], judged: bool) -> Tally {
    let mut tally = Tally::new(&classes(), judged);
    add(&mut tally, Place { file: "a.parquet", row: 0 }, rows);
    tally
}

pub fn add(tally: &mut Tally, first: Place<'_>, rows: &[Row]) {
    let truths: Vec<_> = rows.iter().map(|row| row.truth).collect();
    tally.add(first, &batch(rows), &truths);
}
