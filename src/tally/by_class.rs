//! How sure the model was of each class.

use super::{Confidences, scored};
use crate::stream::Scored;

/// The confidences of the texts of each class, in class order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByClass(Vec<Confidences>);

impl ByClass {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self(vec![Confidences::default(); classes])
    }

    /// Counts a batch.
    pub fn add<T>(&mut self, batch: &Scored<T>) {
        for (texts, scores) in batch.texts.iter().zip(&batch.scores) {
            for (_, text) in texts.layout.walk(scores.len()) {
                let Some((_, class, confidence)) = text.and_then(|text| scored(scores, text)) else { continue };
                if let Some(confidences) = self.0.get_mut(class) {
                    confidences.add(confidence);
                }
            }
        }
    }

    /// Those of each class, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Confidences> {
        self.0.iter()
    }
}
