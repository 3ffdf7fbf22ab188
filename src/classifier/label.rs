//! Logits → probabilities, label and confidence. Pure.

/// The probabilities and the label of one text.
///
/// Writes the softmax of `logits` to `probabilities`, in f64 with the largest logit taken away first, and returns the
/// first class that has the largest logit. `None` when a logit is not a finite number: such a score means nothing.
pub fn classify(logits: &[f32], probabilities: &mut [f32]) -> Option<u32> {
    debug_assert_eq!(logits.len(), probabilities.len());
    if logits.is_empty() || logits.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    let weight = |logit: f32| f64::from(logit - logits[best]).exp();
    let total: f64 = logits.iter().map(|x| weight(*x)).sum();
    for (p, logit) in probabilities.iter_mut().zip(logits) {
        *p = (weight(*logit) / total) as f32;
    }
    u32::try_from(best).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(logits: &[f32]) -> (Option<u32>, Vec<f32>) {
        let mut p = vec![f32::NAN; logits.len()];
        (classify(logits, &mut p), p)
    }

    #[test]
    fn ties_go_to_the_first_class() {
        assert_eq!(check(&[1.0, 1.0]), (Some(0), vec![0.5, 0.5]));
        assert_eq!(check(&[0.0, 3.0, 3.0]).0, Some(1));
    }

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(check(&[3e38, -3e38]), (Some(0), vec![1.0, 0.0]));
        assert_eq!(check(&[-1e4, -1e4 + 1.0]).0, Some(1));
    }

    #[test]
    fn refuses_what_is_no_number() {
        assert_eq!(check(&[f32::NAN, 1.0]).0, None);
        assert_eq!(check(&[f32::INFINITY, 1.0]).0, None);
        assert_eq!(check(&[]).0, None);
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_and_the_label_has_the_largest(logits in prop::collection::vec(-50f32..50.0, 2..8)) {
            let (label, p) = check(&logits);
            prop_assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let best = p[label.unwrap() as usize];
            prop_assert!(p.iter().all(|x| *x <= best));
        }
    }
}
