//! The histogram of confidences as it is drawn: from where it begins, in bins of a width that suits the place.

use crate::bulk::summary::Summary;

/// Texts with a confidence between two hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfidenceBin {
    /// Where it begins, in hundredths.
    pub from: usize,
    /// Where it ends, in hundredths.
    pub to: usize,
    pub texts: u64,
}

/// Bins of `width` hundredths up to 1, from the least confidence that a label can have, or that one had.
pub fn confidence_bins(summary: &Summary, width: usize) -> Vec<ConfidenceBin> {
    let hundredths = &summary.confidences.hundredths;
    let least = 100 / summary.labels.0.len().max(1);
    let first = hundredths.iter().position(|texts| *texts > 0).unwrap_or(least).min(least);
    let start = first / width * width;
    let texts = hundredths[start..].chunks(width).map(|bin| bin.iter().sum());
    texts
        .enumerate()
        .map(|(bin, texts)| (start + bin * width, texts))
        .map(|(from, texts)| ConfidenceBin { from, to: from + width, texts })
        .collect()
}

/// `0.55`
pub fn edge(hundredths: usize) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::report::testing::summary_of;
    use crate::tally::testing::Row;

    #[test]
    fn bins_begin_where_a_label_can() {
        let of = |confidence| Row { confidence, ..Row::of(0) };
        let bins = |rows: &[Row], width| {
            let bins = confidence_bins(&summary_of(rows), width);
            assert_eq!(bins.last().map(|bin| bin.to), Some(100));
            (bins[0].from, bins.len(), bins.iter().map(|bin| bin.texts).sum::<u64>())
        };
        assert_eq!(bins(&[], 5), (50, 10, 0));
        assert_eq!(bins(&[of(0.75), of(1.0)], 1), (50, 50, 2));
        assert_eq!(bins(&[of(0.33)], 5), (30, 14, 1), "nothing is left out, whatever the model says");
    }
}
