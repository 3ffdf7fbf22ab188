//! The texts of which the model was most and least sure.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Place;

/// Texts of either kind.
const EACH: usize = 10;

/// Characters that are kept of a text.
const CHARACTERS: usize = 300;

/// A text and its label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// How it begins, or all of it if it is short.
    pub text: String,
    /// Whether there is more of it.
    pub is_cut: bool,
    /// The name of its class.
    pub label: String,
    /// The class's probability.
    pub confidence: f32,
    /// The file that it is in.
    pub file: String,
    /// Its row there, from 0.
    pub row: u64,
}

/// The texts of which the model was most and least sure, each of them once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// The surest first.
    pub most_certain: Vec<Example>,
    /// The least sure first.
    pub least_certain: Vec<Example>,
}

impl Examples {
    pub(super) fn offer(&mut self, place: Place<'_>, text: &str, label: &str, confidence: f32) {
        let new = Offer { place, text, is_cut: false, label, confidence };
        new.to(&mut self.most_certain, surest_first);
        new.to(&mut self.least_certain, least_sure_first);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.most_certain.iter().for_each(|old| Offer::from(old).to(&mut self.most_certain, surest_first));
        other.least_certain.iter().for_each(|old| Offer::from(old).to(&mut self.least_certain, least_sure_first));
    }
}

/// Which of two confidences stands first. Equal ones stand by their place, so that it does not matter in which order they come.
type Order = fn(f32, f32) -> Ordering;

fn surest_first(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

fn least_sure_first(a: f32, b: f32) -> Ordering {
    a.total_cmp(&b)
}

/// A text that may be kept.
struct Offer<'a> {
    place: Place<'a>,
    text: &'a str,
    is_cut: bool,
    label: &'a str,
    confidence: f32,
}

impl<'a> From<&'a Example> for Offer<'a> {
    fn from(old: &'a Example) -> Self {
        let Example { text, is_cut, label, confidence, file, row } = old;
        Self { place: Place { file, row: *row }, text, is_cut: *is_cut, label, confidence: *confidence }
    }
}

impl Offer<'_> {
    fn to(&self, kept: &mut Vec<Example>, order: Order) {
        // Nearly every text ends here.
        if kept.len() == EACH && kept.last().is_none_or(|last| !self.is_before(last, order)) {
            return;
        }
        let (text, is_cut) = beginning(self.text);
        // Of texts that are the same the first stays.
        if let Some(same) = kept.iter().position(|old| old.text == text) {
            if !self.is_before(&kept[same], order) {
                return;
            }
            kept.remove(same);
        }
        let at = kept.partition_point(|old| !self.is_before(old, order));
        kept.insert(
            at,
            Example {
                text: text.to_owned(),
                is_cut: self.is_cut || is_cut,
                label: self.label.to_owned(),
                confidence: self.confidence,
                file: self.place.file.to_owned(),
                row: self.place.row,
            },
        );
        kept.truncate(EACH);
    }

    fn is_before(&self, old: &Example, order: Order) -> bool {
        let by_place = || (self.place.file, self.place.row).cmp(&(&old.file, old.row));
        order(self.confidence, old.confidence).then_with(by_place).is_lt()
    }
}

/// The first characters of a text, and whether there are more.
fn beginning(text: &str) -> (&str, bool) {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}
