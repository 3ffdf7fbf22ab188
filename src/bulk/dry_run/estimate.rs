//! What is known of a run before it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use crate::bulk::summary::{FailedFile, Run, rate};
use crate::bulk::words::{bytes, count, counted, percent, span};
use crate::tally::Tally;

/// What was learned from some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// What they counted.
    pub tally: Tally,
    /// Texts that stand before among them.
    pub duplicates: u64,
    /// How long it takes to score them.
    pub took: Duration,
}

/// Files by what a run would do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FilesToDo {
    /// Would be scored.
    pub to_do: u64,
    /// Are scored already.
    pub skipped: u64,
    /// Cannot be.
    pub failed: u64,
}

/// Rows that were scored to know more of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SampleCounts {
    /// Rows.
    pub rows: u64,
    /// Texts in them that got a label.
    pub texts: u64,
    /// Their tokens, before they were cut.
    pub tokens: u64,
    /// Texts that were cut.
    pub truncated: u64,
    /// Texts that could not be scored.
    pub errors: u64,
    /// Texts that are in the sample before.
    pub duplicates: u64,
}

/// What a run would come to. As text it ends with a line end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// What a run would do with the files.
    pub files: FilesToDo,
    /// Rows that would be scored.
    pub rows: u64,
    /// Bytes of the files that they are in.
    pub bytes: u64,
    /// About so many tokens they have.
    pub tokens: u64,
    /// About so long it would take if each text were scored, however often it comes; `None` if there was nothing to measure.
    pub seconds: Option<f64>,
    /// How fast the sample was scored.
    pub rows_per_second: f64,
    /// The same in tokens.
    pub tokens_per_second: f64,
    /// What all that is known from.
    pub sample: SampleCounts,
    /// Why the first of those files failed that did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedFile>,
}

impl Estimate {
    /// `rows` and `bytes` are those to do.
    pub fn new(rows: u64, bytes: u64, run: Run, sampled: Sampled) -> Self {
        let Sampled { tally, duplicates, took } = sampled;
        let rows_per_second = rate(tally.rows, took);
        let seconds = rows as f64 / rows_per_second;
        Self {
            files: FilesToDo { to_do: run.files.done, skipped: run.files.skipped, failed: run.files.failed },
            rows,
            bytes,
            tokens: (rows as f64 * tally.tokens as f64 / tally.rows.max(1) as f64).round() as u64,
            seconds: if rows == 0 { Some(0.0) } else { Some(seconds).filter(|seconds| seconds.is_finite()) },
            rows_per_second,
            tokens_per_second: rate(tally.tokens, took),
            sample: SampleCounts {
                rows: tally.rows,
                texts: tally.labels.iter().map(|(_, texts)| texts).sum(),
                tokens: tally.tokens,
                truncated: tally.truncated,
                errors: tally.errors,
                duplicates,
            },
            failures: run.failures,
        }
    }
}

impl Display for Estimate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { files, rows, sample, .. } = self;
        writeln!(f, "{}, {}, {}", counted(files.to_do, "file"), counted(*rows, "row"), bytes(self.bytes))?;
        let mut line = |name: &str, text: String| writeln!(f, "{name:<12}{text}");
        if files.skipped > 0 {
            line("Skipped", format!("{}, scored before", counted(files.skipped, "file")))?;
        }
        if files.failed > 0 {
            line("Failed", format!("{}, see above", counted(files.failed, "file")))?;
        }
        if sample.texts > 0 {
            let each = sample.tokens as f64 / sample.texts as f64;
            line("Tokens", format!("about {}, {each:.1} a text", count(self.tokens)))?;
            line("Truncated", format!("{} of the texts", percent(sample.truncated, sample.texts)))?;
            line("Duplicates", format!("{} of the texts in the sample", percent(sample.duplicates, sample.texts)))?;
        }
        if sample.errors > 0 {
            line("Errors", format!("{} of the sample cannot be scored", counted(sample.errors, "text")))?;
        }
        let speeds = [self.rows_per_second, self.tokens_per_second].map(|speed| count(speed.round() as u64));
        if sample.rows > 0 {
            line("Speed", format!("{} rows/s, {} tokens/s", speeds[0], speeds[1]))?;
        }
        let seconds = self.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // The run may score once what comes again.
        let condition = if sample.duplicates > 0 { ", if each text is scored" } else { "" };
        line("Time", seconds.map_or("unknown".to_owned(), |seconds| format!("about {}{condition}", span(seconds))))?;
        writeln!(f, "By a sample of {}; nothing was written.", counted(sample.rows, "row"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::summary::FileCounts;
    use crate::tally::testing::{Row, tally};

    fn estimate(rows: u64, sample: &[Row]) -> Estimate {
        let files = FileCounts { done: 2, skipped: 1, failed: 0 };
        let sampled = Sampled { tally: tally(sample, false), duplicates: 2, took: Duration::from_secs(1) };
        let mut run = Run { files, ..Run::default() };
        run.fail("in.csv", "no");
        Estimate::new(rows, 5 << 20, run, sampled)
    }

    #[test]
    fn a_sample_stands_for_all() {
        let mut sample = vec![Row::of(0); 7];
        sample.extend([Row { tokens: 200, truncated: true, ..Row::of(1) }, Row::null(), Row::error()]);
        let expected = "\
2 files, 1,000,000 rows, 5.0 MiB
Skipped     1 file, scored before
Failed      1 file, see above
Tokens      about 22,100,000, 27.6 a text
Truncated   12.5% of the texts
Duplicates  25.0% of the texts in the sample
Errors      1 text of the sample cannot be scored
Speed       10 rows/s, 221 tokens/s
Time        about 27 h 46 min, if each text is scored
By a sample of 10 rows; nothing was written.
";
        assert_eq!(estimate(1_000_000, &sample).to_string(), expected);
    }

    #[test]
    fn nothing_takes_no_time_and_what_nobody_measured_is_unknown() {
        assert_eq!(estimate(0, &[]).seconds, Some(0.0));
        let unknown = estimate(10, &[]);
        assert_eq!((unknown.seconds, unknown.tokens), (None, 0));
        assert!(unknown.to_string().contains("\nTime        unknown\n"), "{unknown}");
    }
}
