//! What a run did, in a line for people and in JSON for machines.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Counts rows as they are scored.
#[derive(Debug, Clone)]
pub struct Tally {
    rows: u64,
    nulls: u64,
    labels: Vec<(String, u64)>,
    accuracy: Option<Accuracy>,
}

impl Tally {
    /// Nothing counted yet. `judged` says whether right answers will come.
    pub fn new(classes: &[String], judged: bool) -> Self {
        Self {
            rows: 0,
            nulls: 0,
            labels: classes.iter().map(|class| (class.clone(), 0)).collect(),
            accuracy: judged.then(Accuracy::default),
        }
    }

    /// Counts rows, whatever became of them.
    pub fn add_rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    /// Counts one text: the class that it got, and the right one. Texts without either are not judged.
    pub fn add(&mut self, label: Option<usize>, truth: Option<usize>) {
        match label.and_then(|label| self.labels.get_mut(label)) {
            Some((_, rows)) => *rows += 1,
            None => self.nulls += 1,
        }
        if let (Some(accuracy), Some(label), Some(truth)) = (&mut self.accuracy, label, truth) {
            accuracy.judged += 1;
            accuracy.right += u64::from(label == truth);
        }
    }

    /// Adds what another file's rows counted.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        for ((_, rows), (_, more)) in self.labels.iter_mut().zip(&other.labels) {
            *rows += more;
        }
        if let (Some(accuracy), Some(more)) = (&mut self.accuracy, &other.accuracy) {
            accuracy.judged += more.judged;
            accuracy.right += more.right;
        }
    }

    /// The counts, and the time that they took.
    pub fn summary(self, took: Duration) -> Summary {
        Summary {
            rows: self.rows,
            seconds: took.as_secs_f64(),
            rows_per_second: rate(self.rows, took),
            nulls: self.nulls,
            labels: LabelCounts(self.labels),
            accuracy: self.accuracy,
        }
    }
}

/// Rows a second; zero for no rows or no time.
pub fn rate(rows: u64, took: Duration) -> f64 {
    if took.is_zero() {
        return 0.0;
    }
    rows as f64 / took.as_secs_f64()
}

/// What a run did. As text it is the closing line, without the line end; as JSON what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Rows read and written.
    pub rows: u64,
    /// Wall-clock time of the run.
    pub seconds: f64,
    /// The quotient of the two.
    pub rows_per_second: f64,
    /// Rows without a text, and so without a label.
    pub nulls: u64,
    /// Rows of each label, in class order.
    pub labels: LabelCounts,
    /// Against the truth column, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

/// Label and number of rows, in class order; a map in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCounts(pub Vec<(String, u64)>);

impl Serialize for LabelCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, rows)| (label, rows)))
    }
}

/// How many labels were right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Rows whose label is the one in the truth column.
    pub right: u64,
    /// Rows with both a label and a right answer.
    pub judged: u64,
}

impl Accuracy {
    /// The part of the judged rows that is right, from 0 to 1; `None` if none was judged.
    pub fn share(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.right as f64 / self.judged as f64)
    }
}

impl Serialize for Accuracy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Accuracy", 3)?;
        fields.serialize_field("share", &self.share())?;
        fields.serialize_field("right", &self.right)?;
        fields.serialize_field("judged", &self.judged)?;
        fields.end()
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
        }
        let Some(accuracy) = self.accuracy else {
            return Ok(());
        };
        match accuracy.share() {
            Some(share) => {
                let Accuracy { right, judged } = accuracy;
                write!(f, "; accuracy {:.1}% ({right} of {judged})", 100.0 * share)
            }
            None => f.write_str("; accuracy unknown: no row has both a label and a truth"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> [String; 2] {
        ["NEGATIVE", "POSITIVE"].map(str::to_owned)
    }

    fn tally(rows: &[(Option<usize>, Option<usize>)], judged: bool) -> Tally {
        let mut tally = Tally::new(&classes(), judged);
        for (label, truth) in rows {
            tally.add_rows(1);
            tally.add(*label, *truth);
        }
        tally
    }

    #[test]
    fn the_closing_line() {
        let mut rows = vec![(Some(0), None); 431];
        rows.extend(vec![(Some(1), None); 441]);
        let summary = tally(&rows, false).summary(Duration::from_millis(1200));
        assert_eq!(summary.to_string(), "872 rows in 1.2 s (727 rows/s): 431 NEGATIVE, 441 POSITIVE");
    }

    #[test]
    fn nulls_and_accuracy_are_told_when_there_are_any() {
        let rows = [(Some(0), Some(0)), (Some(0), Some(1)), (Some(1), Some(1)), (Some(1), None), (None, Some(1))];
        let summary = tally(&rows, true).summary(Duration::from_secs(2));
        assert_eq!(
            summary.to_string(),
            "5 rows in 2.0 s (2 rows/s): 2 NEGATIVE, 2 POSITIVE, 1 null; accuracy 66.7% (2 of 3)"
        );
    }

    #[test]
    fn nothing_is_a_line_too() {
        let summary = tally(&[], true).summary(Duration::ZERO);
        assert_eq!(
            summary.to_string(),
            "0 rows in 0.0 s (0 rows/s): 0 NEGATIVE, 0 POSITIVE; \
             accuracy unknown: no row has both a label and a truth"
        );
    }

    #[test]
    fn the_json_keeps_the_order_of_classes() {
        let rows = [(Some(1), Some(1)), (None, None)];
        let summary = tally(&rows, true).summary(Duration::from_secs(4));
        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            r#"{"rows":2,"seconds":4.0,"rows_per_second":0.5,"nulls":1,"#.to_owned()
                + r#""labels":{"NEGATIVE":0,"POSITIVE":1},"#
                + r#""accuracy":{"share":1.0,"right":1,"judged":1}}"#
        );
        let summary = tally(&rows, false).summary(Duration::from_secs(4));
        assert!(!serde_json::to_string(&summary).unwrap().contains("accuracy"));
    }

    #[test]
    fn files_add_up() {
        let mut sum = tally(&[(Some(0), Some(0))], true);
        sum.merge(&tally(&[(Some(0), Some(1)), (None, None), (Some(1), Some(1))], true));
        let rows = [(Some(0), Some(0)), (Some(0), Some(1)), (None, None), (Some(1), Some(1))];
        let took = Duration::from_secs(1);
        assert_eq!(sum.summary(took), tally(&rows, true).summary(took));
    }
}
