//! Labels against right answers.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Classes up to which it is counted which were taken for which: the table has their square.
const MOST_CLASSES: usize = 30;

/// How many labels were right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Accuracy {
    /// Texts whose label is the one in the truth column.
    pub right: u64,
    /// Texts with both a label and a right answer.
    pub judged: u64,
}

impl Accuracy {
    /// The part of what was judged that is right, from 0 to 1; `None` if nothing was judged.
    pub fn share(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.right as f64 / self.judged as f64)
    }

    pub(super) fn add(&mut self, is_right: bool) {
        self.judged += 1;
        self.right += u64::from(is_right);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.right += other.right;
    }
}

impl Serialize for Accuracy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Accuracy", 3)?;
        fields.serialize_field("share", &self.share())?;
        fields.serialize_field("right", &self.right)?;
        fields.serialize_field("judged", &self.judged)?;
        fields.end()
    }
}

/// How often each class got which label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    /// A row for each right class, with how often each label was given; both in class order.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// `None` where there are too many classes for people to read it.
    pub(super) fn new(classes: usize) -> Option<Self> {
        (classes <= MOST_CLASSES).then(|| Self { counts: vec![vec![0; classes]; classes] })
    }

    pub(super) fn add(&mut self, truth: usize, label: usize) {
        if let Some(count) = self.counts.get_mut(truth).and_then(|row| row.get_mut(label)) {
            *count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let counts = self.counts.iter_mut().flatten();
        counts.zip(other.counts.iter().flatten()).for_each(|(count, more)| *count += more);
    }
}
