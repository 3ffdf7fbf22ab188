//! What the predictor answers.

use serde::Serialize;

use crate::classifier::Scores;
use crate::error::{Error, Result};

/// The predictor's answer: one entry a text, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Output {
    /// The class: 0 negative, 1 positive.
    pub predicted_labels: Vec<usize>,
    /// The probability of that class, to four decimal places in float32.
    ///
    /// Held as float64, since that is how the original prints them: the shortest decimal that reads as the same
    /// float64, hence `0.9998000264167786`.
    pub confidences: Vec<f64>,
}

impl Output {
    /// The answer that holds `scores`.
    ///
    /// # Errors
    /// [`Error::Failed`] when a text has no score.
    pub fn new(scores: &Scores) -> Result<Self> {
        let mut output =
            Self { predicted_labels: Vec::with_capacity(scores.len()), confidences: Vec::with_capacity(scores.len()) };
        for row in 0..scores.len() {
            let (Some(label), Some(confidence)) = (scores.label(row), scores.confidence(row)) else {
                return Err(Error::Failed(format!("text {row} came back without a score: a fault of the engine")));
            };
            output.predicted_labels.push(label);
            output.confidences.push(f64::from(to_four_places(confidence)));
        }
        Ok(output)
    }
}

/// `NumPy`'s `round(confidence, 4)`: in float32 throughout, halves to even.
fn to_four_places(confidence: f32) -> f32 {
    (confidence * 10_000.0).round_ties_even() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(confidence: f32, expected: &str) {
        let output = Output { predicted_labels: vec![1], confidences: vec![f64::from(to_four_places(confidence))] };
        let printed = serde_json::to_string(&output).expect("numbers print");
        let expected = format!(r#"{{"predicted_labels":[1],"confidences":[{expected}]}}"#);
        assert_eq!(printed, expected, "{confidence}");
    }

    #[test]
    fn confidences_print_as_the_original_prints_them() {
        check(0.999_812_3, "0.9998000264167786");
        check(0.999_3, "0.9993000030517578");
        check(0.768_83, "0.7688000202178955");
        check(0.5, "0.5");
        check(0.999_99, "1.0");
        check(1.0, "1.0");
        check(0.0, "0.0");
    }

    #[test]
    fn a_text_without_a_score_is_an_error() {
        let error = Output::new(&Scores::nulls(2, 2)).expect_err("no scores");
        assert!(matches!(error, Error::Failed(cause) if cause.starts_with("text 0 came back without a score")));
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        // In float32 too, both times 10,000 are exact halves: 7500.5 and 8125.5.
        check(0.750_05, "0.75");
        check(0.812_55, "0.8126000165939331");
    }
}
