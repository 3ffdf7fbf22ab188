//! Labels against right answers.

use super::charts::beside;
use super::markup::{Escaped, card};
use crate::bulk::summary::Summary;
use crate::bulk::words::{count, percent};

/// How many labels were right, and which were taken for which.
pub fn accuracy(summary: &Summary) -> String {
    let Some(accuracy) = summary.accuracy else { return String::new() };
    let note = match accuracy.share() {
        Some(share) => {
            let (right, judged) = (count(accuracy.right), count(accuracy.judged));
            format!("{:.1}% of the labels are right: {right} of {judged}.", 100.0 * share)
        }
        None => "No text has both a label and a right answer.".to_owned(),
    };
    let matrix = summary.confusion.as_ref().filter(|_| accuracy.judged > 0);
    let matrix = matrix.map(|confusion| matrix_of(&names(summary), &confusion.counts)).unwrap_or_default();
    card(beside(summary), "Accuracy", &format!("<p class=\"note\">{note}</p>\n{matrix}"))
}

fn names(summary: &Summary) -> Vec<&str> {
    summary.labels.0.iter().map(|(name, _)| name.as_str()).collect()
}

/// A row for each right class and a column for each label, with the share of what is right at the end of both.
fn matrix_of(names: &[&str], counts: &[Vec<u64>]) -> String {
    let head = |name: &&str| format!("<th scope=\"col\"><bdi>{}</bdi></th>", Escaped(name));
    let heads: String = names.iter().map(head).collect();
    let rows = names.iter().zip(counts).enumerate();
    let rows: String = rows.map(|(class, (name, counts))| row(class, name, counts)).collect();
    let right = |label: usize| {
        let all: u64 = counts.iter().filter_map(|row| row.get(label)).sum();
        format!("<td>{}</td>", share(counts[label][label], all))
    };
    let precision: String = (0..counts.len()).map(right).collect();
    format!(
        "<div class=\"scroll\"><table class=\"matrix\">\n\
         <thead><tr><td></td><th scope=\"colgroup\" colspan=\"{}\">label</th><td></td></tr>\n\
         <tr><th scope=\"col\">truth</th>{heads}<th scope=\"col\">found</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         <tfoot><tr><th scope=\"row\">right</th>{precision}<td></td></tr></tfoot>\n</table></div>\n\
         <p class=\"note\"><i>found</i>: the part of a class's texts that got its label (recall). \
         <i>right</i>: the part of a label's texts that are of its class (precision).</p>\n",
        names.len()
    )
}

fn row(class: usize, name: &str, counts: &[u64]) -> String {
    let all: u64 = counts.iter().sum();
    let cell = |(label, texts): (usize, &u64)| {
        let strength = *texts as f64 / all.max(1) as f64;
        let class = if label == class { "right" } else { "wrong" };
        format!("<td class=\"{class}\" style=\"--share:{strength:.3}\">{}</td>", count(*texts))
    };
    let cells: String = counts.iter().enumerate().map(cell).collect();
    let found = share(counts[class], all);
    format!("<tr><th scope=\"row\"><bdi>{}</bdi></th>{cells}<td>{found}</td></tr>\n", Escaped(name))
}

/// Of nothing it is unknown.
fn share(part: u64, all: u64) -> String {
    if all == 0 { "–".to_owned() } else { percent(part, all) }
}
