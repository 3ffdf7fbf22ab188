//! What a run did, in a line for people and in JSON for machines.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::words;
use crate::tally::{Accuracy, Confidences, Confusion, Examples, LengthBin, Tally};

/// Rows a second; zero for no rows or no time.
pub fn rate(rows: u64, took: Duration) -> f64 {
    if took.is_zero() {
        return 0.0;
    }
    rows as f64 / took.as_secs_f64()
}

/// Files whose errors are kept.
const MOST_FAILURES: usize = 100;

/// How a run went that counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Wall-clock time.
    pub took: Duration,
    /// Rows among those counted whose scores an earlier run had left in the journal.
    pub resumed: u64,
    /// What became of the files.
    pub files: FileCounts,
    /// Why the first of those failed that did.
    pub failures: Vec<FailedFile>,
}

impl Run {
    /// A file was given up.
    pub fn fail(&mut self, file: &str, error: &str) {
        self.files.failed += 1;
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(FailedFile { file: file.to_owned(), error: error.to_owned() });
        }
    }
}

/// A file that was given up, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedFile {
    /// Which.
    pub file: String,
    /// What people are told.
    pub error: String,
}

/// What became of the files of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Scored to their end.
    pub done: u64,
    /// Left alone, since they are scored already.
    pub skipped: u64,
    /// Given up.
    pub failed: u64,
}

/// What a run did. As text it is the closing line, without the line end; as JSON what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Rows read and written.
    pub rows: u64,
    /// Wall-clock time of the run.
    pub seconds: f64,
    /// Rows that this run scored, in each of these seconds.
    pub rows_per_second: f64,
    /// Rows among them whose scores an earlier run had left in the journal.
    pub resumed: u64,
    /// Texts that are null, and so without a label.
    pub nulls: u64,
    /// Texts that could not be scored, and so without a label.
    pub errors: u64,
    /// Texts of each label, in class order.
    pub labels: LabelCounts,
    /// Against the truth column, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// For each true class, in class order, how often each label was given to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Texts longer than the model takes.
    pub truncated: u64,
    /// Tokens of the scored texts, before they were cut.
    pub tokens: u64,
    /// Scored texts that the model did not see, since it had seen the same before.
    pub duplicates_saved: u64,
    /// Texts by their confidence, in hundredths from 0 to 1.
    pub confidences: Confidences,
    /// Texts by their length in tokens.
    pub lengths: Vec<LengthBin>,
    /// The texts of which the model was most and least sure.
    #[serde(flatten)]
    pub examples: Examples,
    /// What became of the files.
    pub files: FileCounts,
    /// Why the first of those failed that did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedFile>,
}

impl Summary {
    /// What was counted, and how it went.
    pub fn new(tally: Tally, run: Run) -> Self {
        let scored = tally.rows.saturating_sub(run.resumed);
        Self {
            rows: tally.rows,
            seconds: run.took.as_secs_f64(),
            rows_per_second: rate(scored, run.took),
            resumed: run.resumed,
            nulls: tally.nulls,
            errors: tally.errors,
            labels: LabelCounts(tally.labels),
            accuracy: tally.accuracy,
            confusion: tally.confusion,
            truncated: tally.truncated,
            tokens: tally.tokens,
            duplicates_saved: tally.saved,
            confidences: tally.confidences,
            lengths: tally.lengths.bins(),
            examples: tally.examples,
            files: run.files,
            failures: run.failures,
        }
    }

    /// Texts that have a label.
    pub fn texts(&self) -> u64 {
        self.labels.0.iter().map(|(_, texts)| texts).sum()
    }
}

/// Label and number of texts, in class order; a map in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCounts(pub Vec<(String, u64)>);

impl Serialize for LabelCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, rows)| (label, rows)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, seconds, .. } = self;
        let noun = if *rows == 1 { "row" } else { "rows" };
        write!(f, "{rows} {noun} in {seconds:.1} s ({:.0} rows/s)", self.rows_per_second)?;
        let mut before = ": ";
        for (label, rows) in &self.labels.0 {
            write!(f, "{before}{rows} {label}")?;
            before = ", ";
        }
        if self.nulls > 0 {
            write!(f, "{before}{} null", self.nulls)?;
            before = ", ";
        }
        if self.errors > 0 {
            write!(f, "{before}{} without a score", self.errors)?;
        }
        match self.accuracy.map(|accuracy| (accuracy, accuracy.share())) {
            Some((Accuracy { right, judged }, Some(share))) => {
                write!(f, "; accuracy {:.1}% ({right} of {judged})", 100.0 * share)?;
            }
            Some((_, None)) => f.write_str("; accuracy unknown: no row has both a label and a truth")?,
            None => {}
        }
        let FileCounts { skipped, failed, .. } = self.files;
        if skipped > 0 {
            write!(f, "; {} done before", words::counted(skipped, "file"))?;
        }
        if failed > 0 {
            write!(f, "; {} failed", words::counted(failed, "file"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::testing::{Row, tally};
    use serde_json::json;

    fn summary(rows: &[Row], judged: bool, took: Duration) -> Summary {
        Summary::new(tally(rows, judged), Run { took, ..Run::default() })
    }

    #[test]
    fn the_closing_line() {
        let mut rows = vec![Row::of(0); 431];
        rows.extend(vec![Row::of(1); 441]);
        let summary = summary(&rows, false, Duration::from_millis(1200));
        assert_eq!(summary.to_string(), "872 rows in 1.2 s (727 rows/s): 431 NEGATIVE, 441 POSITIVE");
    }

    #[test]
    fn what_has_no_label_and_accuracy_are_told_when_there_are_any() {
        let judged = |label, truth| Row { truth: Some(truth), ..Row::of(label) };
        let null = Row { truth: Some(1), ..Row::null() };
        let rows = [judged(0, 0), judged(0, 1), judged(1, 1), Row::of(1), null, Row::error()];
        assert_eq!(
            summary(&rows, true, Duration::from_secs(2)).to_string(),
            "6 rows in 2.0 s (3 rows/s): 2 NEGATIVE, 2 POSITIVE, 1 null, 1 without a score; accuracy 66.7% (2 of 3)"
        );
    }

    #[test]
    fn nothing_is_a_line_too() {
        assert_eq!(
            summary(&[], true, Duration::ZERO).to_string(),
            "0 rows in 0.0 s (0 rows/s): 0 NEGATIVE, 0 POSITIVE; \
             accuracy unknown: no row has both a label and a truth"
        );
    }

    #[test]
    fn rows_of_an_earlier_run_are_no_speed_of_this() {
        let run = Run { took: Duration::from_secs(2), resumed: 6, ..Run::default() };
        let summary = Summary::new(tally(&vec![Row::of(0); 10], false), run);
        assert_eq!(summary.to_string(), "10 rows in 2.0 s (2 rows/s): 10 NEGATIVE, 0 POSITIVE");
    }

    #[test]
    fn files_that_were_left_alone_or_given_up_are_told_of() {
        let files = FileCounts { done: 1, skipped: 2, failed: 1 };
        let summary = Summary::new(tally(&[], false), Run { files, ..Run::default() });
        let told = "0 rows in 0.0 s (0 rows/s): 0 NEGATIVE, 0 POSITIVE; 2 files done before; 1 file failed";
        assert_eq!(summary.to_string(), told);
    }

    #[test]
    fn of_many_failures_the_first_are_kept() {
        let mut run = Run::default();
        (0..1000).for_each(|file| run.fail(&file.to_string(), "gone"));
        assert_eq!((run.files.failed, run.failures.len(), run.failures[99].file.as_str()), (1000, 100, "99"));
    }

    #[test]
    fn the_json_has_all_that_was_counted() {
        let rows = [Row { text: Some("good"), truth: Some(1), ..Row::of(1) }, Row::null(), Row::error()];
        let summary = summary(&rows, true, Duration::from_secs(4));
        let mut json = serde_json::to_value(&summary).unwrap();
        let hundredths = json.as_object_mut().unwrap().remove("confidences").unwrap();
        assert_eq!(hundredths.as_array().unwrap().iter().position(|texts| texts == 1), Some(90));
        let example = json!({
            "text": "good", "is_cut": false, "label": "POSITIVE", "confidence": 0.90625, "file": "a.parquet", "row": 0
        });
        let expected = json!({
            "rows": 3, "seconds": 4.0, "rows_per_second": 0.75, "resumed": 0, "nulls": 1, "errors": 1,
            "labels": {"NEGATIVE": 0, "POSITIVE": 1},
            "accuracy": {"share": 1.0, "right": 1, "judged": 1}, "confusion": [[0, 0], [0, 1]],
            "truncated": 0, "tokens": 3, "duplicates_saved": 0, "lengths": [{"from": 0, "to": 4, "texts": 1}],
            "most_certain": [example], "least_certain": [example],
            "files": {"done": 0, "skipped": 0, "failed": 0},
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_json_keeps_the_order_of_classes_and_no_accuracy_where_nobody_knows_it() {
        let summary = summary(&[Row::of(1)], false, Duration::from_secs(4));
        let json = serde_json::to_string(&summary).unwrap();
        assert!(json.contains(r#""labels":{"NEGATIVE":0,"POSITIVE":1}"#), "{json}");
        assert!(!json.contains("accuracy") && !json.contains("confusion"), "{json}");
    }
}
