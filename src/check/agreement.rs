//! Logits of a device beside those of the CPU.

use serde::Serialize;

use super::Size;
use super::texts::Texts;
use crate::Result;
use crate::classifier::{Classifier, Precision};

/// How far a device and a precision agree with f32 on the CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Agreement {
    /// The precision.
    pub dtype: String,
    /// The processor's instructions that compute it, or the card that does.
    pub kernels: String,
    /// Texts that were compared.
    pub texts: usize,
    /// Texts with the same label.
    pub labels_equal: usize,
    /// Over all texts and classes.
    pub max_logit_difference: f32,
    /// What that may be: a share of how far the texts' logits are spread.
    pub logit_bound: f32,
    /// Over all texts.
    pub max_confidence_difference: f32,
    /// Whether that is as it should be: logits within the bound, and in f32 all labels equal. Which others turn depends on how many texts
    /// a checkpoint is undecided about, and can turn no label whose lead is twice the bound.
    pub enough: bool,
}

/// How far logits may differ, in standard deviations of those of all texts. Where 200 texts
/// were rounded as a GPU rounds them (`benches/python/rounding.py`), the largest difference was 0.008 in f16, 0.06 in bf16, 0.26 in
/// int8 and 0.95 in fp8, and 2e-5 between two f32 on a CPU.
const fn deviations(precision: Precision) -> f32 {
    match precision {
        Precision::Float32 => 2e-4,
        Precision::Float16 => 0.03,
        Precision::Bfloat16 => 0.2,
        Precision::Int8 => 0.8,
        Precision::Float8 => 2.0,
    }
}

/// Token sequences with their logits, for others to compare theirs with.
#[derive(Debug, Serialize)]
pub struct Sample {
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
}

/// Rows of a batch: the differences do not depend on it.
const BATCH: usize = 32;

/// The logits of `count` texts by `classifier`.
pub fn sample(classifier: &Classifier, texts: &Texts, count: usize) -> Result<Sample> {
    let expected = Expected::new(classifier, texts.of_mean(25, count))?;
    let logits = expected.logits.chunks_exact(expected.classes).map(<[f32]>::to_vec).collect();
    Ok(Sample { ids: expected.ids, logits })
}

/// What the reference says.
pub struct Expected {
    ids: Vec<Vec<u32>>,
    classes: usize,
    logits: Vec<f32>,
}

impl Expected {
    /// By `reference`, of these texts.
    pub fn new(reference: &Classifier, texts: Vec<String>) -> Result<Self> {
        let ids = texts.iter().map(|text| Ok(reference.encode(text)?.ids)).collect::<Result<Vec<_>>>()?;
        let logits = logits(reference, &ids)?;
        Ok(Self { ids, classes: reference.info().labels.len(), logits })
    }

    /// How far another classifier of the same checkpoint agrees.
    pub fn compare(&self, classifier: &Classifier, precision: Precision, size: Size) -> Result<Agreement> {
        let found = logits(classifier, &self.ids)?;
        let pairs = || self.logits.chunks_exact(self.classes).zip(found.chunks_exact(self.classes));
        let labels_equal = pairs().filter(|(a, b)| label(a) == label(b)).count();
        // A difference that is no number must not get lost, as it would in `max`.
        let largest = |a: f32, b: f32| if b.is_nan() || b > a { b } else { a };
        let differences = self.logits.iter().zip(&found).map(|(a, b)| (a - b).abs());
        let confidences = pairs().map(|(a, b)| (confidence(a) - confidence(b)).abs());
        let bound = deviations(precision) * size.alikeness() * spread(&self.logits, self.classes);
        let difference = differences.fold(0.0, largest);
        let is_exact = precision != Precision::Float32 || labels_equal == self.ids.len();
        Ok(Agreement {
            dtype: precision.to_string(),
            kernels: classifier.info().kernels.clone(),
            texts: self.ids.len(),
            labels_equal,
            max_logit_difference: difference,
            logit_bound: bound,
            max_confidence_difference: confidences.fold(0.0, largest),
            enough: difference <= bound && is_exact,
        })
    }
}

fn logits(classifier: &Classifier, ids: &[Vec<u32>]) -> Result<Vec<f32>> {
    let mut logits = Vec::new();
    for batch in ids.chunks(BATCH) {
        let batch: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        logits.extend(classifier.logits(&batch)?);
    }
    Ok(logits)
}

/// The standard deviation of a class's logits over all texts, of the class that has the least.
fn spread(logits: &[f32], classes: usize) -> f32 {
    let texts = (logits.len() / classes) as f32;
    let of = |class: usize| {
        let values = || logits.iter().skip(class).step_by(classes);
        let mean = values().sum::<f32>() / texts;
        (values().map(|logit| (logit - mean).powi(2)).sum::<f32>() / texts).sqrt()
    };
    (0..classes).map(of).fold(f32::INFINITY, f32::min)
}

fn label(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

fn confidence(logits: &[f32]) -> f32 {
    let best = logits[label(logits)];
    1.0 / logits.iter().map(|logit| (logit - best).exp()).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_class_that_has_the_least() {
        assert_eq!(spread(&[1.0, 10.0, 3.0, 30.0], 2), 1.0);
        assert_eq!(spread(&[5.0, 5.0], 2), 0.0);
    }
}
