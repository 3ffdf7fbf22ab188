//! What stands below the closing line where people look at it.

use std::fmt::{self, Display, Formatter};

use super::bins::{confidence_bins, edge};
use crate::bulk::summary::Summary;
use crate::bulk::words::{count, counted, percent, printable, some_of};

/// Characters of the longest bar.
const BAR: u64 = 40;

/// Labels that are shown, and characters of their names.
const MOST_LABELS: usize = 12;
const LONGEST_NAME: usize = 24;

/// Hundredths of a bin of the histogram.
const BIN: usize = 5;

/// The shares of the labels, how sure the model was, and what else there is to know. As text it ends with a line end.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a>(pub &'a Summary);

impl Display for Details<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let texts = self.0.texts();
        if texts > 0 {
            self.labels(f, texts)?;
            self.confidences(f, texts)?;
            writeln!(f)?;
        }
        self.notes(texts).into_iter().try_for_each(|(name, note)| writeln!(f, "{name:<12}{note}"))
    }
}

impl Details<'_> {
    fn labels(self, f: &mut Formatter<'_>, texts: u64) -> fmt::Result {
        let mut labels: Vec<_> = self.0.labels.0.iter().collect();
        if labels.len() > MOST_LABELS {
            labels.sort_by_key(|(_, texts)| std::cmp::Reverse(*texts));
        }
        let others = labels.split_off(labels.len().min(MOST_LABELS));
        let lines: Vec<_> = labels.iter().map(|(name, texts)| (cut(&printable(name)), *texts)).collect();
        writeln!(f, "\nLabels")?;
        bars(f, &lines, texts)?;
        if others.is_empty() {
            return Ok(());
        }
        let rest = others.iter().map(|(_, texts)| texts).sum();
        writeln!(f, "  and {}: {} ({})", counted(others.len() as u64, "other"), count(rest), percent(rest, texts))
    }

    fn confidences(self, f: &mut Formatter<'_>, texts: u64) -> fmt::Result {
        let bins = confidence_bins(self.0, BIN).into_iter();
        let lines: Vec<_> = bins.map(|bin| (format!("{}–{}", edge(bin.from), edge(bin.to)), bin.texts)).collect();
        writeln!(f, "\nConfidence")?;
        bars(f, &lines, texts)
    }

    fn notes(self, texts: u64) -> Vec<(&'static str, String)> {
        let Summary { truncated, tokens, nulls, errors, duplicates_saved: saved, resumed, files, .. } = *self.0;
        let mut notes = Vec::new();
        if texts > 0 {
            let each = tokens as f64 / texts as f64;
            notes.push((
                "Truncated",
                format!("{} of {} ({})", count(truncated), counted(texts, "text"), percent(truncated, texts)),
            ));
            notes.push(("Tokens", format!("{}, {each:.1} a text", count(tokens))));
        }
        let mut note = |name, number, what: &str| {
            if number > 0 {
                notes.push((name, format!("{}{what}", count(number))));
            }
        };
        note("Nulls", nulls, "");
        note("Errors", errors, " could not be scored");
        note("Duplicates", saved, " scored once for all");
        note("Resumed", resumed, " rows were scored by an earlier run");
        if files.done + files.skipped + files.failed > 1 {
            let counts = [(files.done, "done"), (files.skipped, "skipped"), (files.failed, "failed")];
            notes.push(("Files", some_of(&counts)));
        }
        notes
    }
}

/// A line each: name, number, share, and a bar that is the longest for the largest number.
fn bars(f: &mut Formatter<'_>, lines: &[(String, u64)], whole: u64) -> fmt::Result {
    let widest = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let names = widest(&mut lines.iter().map(|(name, _)| name.chars().count()));
    let numbers = widest(&mut lines.iter().map(|(_, number)| count(*number).len()));
    let most = lines.iter().map(|(_, number)| *number).max().unwrap_or(0);
    for (name, number) in lines {
        let (share, bar) = (percent(*number, whole), bar(*number, most));
        let line = format!("  {name:<names$}  {:>numbers$}  {share:>6}  {bar}", count(*number));
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A bar to an eighth of a character. What is not nothing is seen.
fn bar(number: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if number == 0 {
        return String::new();
    }
    let eighths = (u128::from(number) * u128::from(BAR) * 8 / u128::from(most)).max(1) as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::report::testing::{summary, summary_of};
    use crate::bulk::summary::LabelCounts;
    use crate::tally::testing::Row;

    #[test]
    fn people_see_shares_and_a_histogram() {
        let expected = "
Labels
  NEGATIVE  1,200   66.7%  ████████████████████████████████████████
  POSITIVE    600   33.3%  ████████████████████

Confidence
  0.50–0.55      3    0.2%  ▏
  0.55–0.60      0      0%
  0.60–0.65      0      0%
  0.65–0.70      0      0%
  0.70–0.75      0      0%
  0.75–0.80    597   33.2%  ███████████████████▉
  0.80–0.85      0      0%
  0.85–0.90      0      0%
  0.90–0.95  1,200   66.7%  ████████████████████████████████████████
  0.95–1.00      0      0%

Truncated   3 of 1,800 texts (0.2%)
Tokens      5,781, 3.2 a text
Nulls       2
Errors      1 could not be scored
Duplicates  7 scored once for all
Resumed     900 rows were scored by an earlier run
Files       2 done, 1 skipped, 1 failed
";
        assert_eq!(Details(&summary()).to_string(), expected);
    }

    #[test]
    fn a_run_without_texts_has_no_histogram() {
        assert_eq!(Details(&summary_of(&[])).to_string(), "");
        assert_eq!(Details(&summary_of(&[Row::null()])).to_string(), "Nulls       1\n");
    }

    #[test]
    fn of_many_labels_the_most_frequent_are_shown() {
        let labels = (0..20).map(|label| (format!("label {label} \u{1b}[31m with a long name"), label)).collect();
        let summary = Summary { labels: LabelCounts(labels), ..summary_of(&[]) };
        let shown = Details(&summary).to_string();
        let labels: Vec<_> = shown.lines().skip_while(|line| *line != "Labels").take(14).collect();
        assert_eq!(labels[1], "  label 19 ␛[31m with a lo…  19   10.0%  ████████████████████████████████████████");
        assert_eq!(labels[12], "  label 8 ␛[31m with a lon…   8    4.2%  ████████████████▊");
        assert_eq!(labels[13], "  and 8 others: 28 (14.7%)");
    }
}
