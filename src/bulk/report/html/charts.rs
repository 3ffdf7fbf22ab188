//! Bars: of labels, and of histograms.

use super::markup::{Escaped, card};
use crate::bulk::report::bins::{confidence_bins, edge};
use crate::bulk::summary::Summary;
use crate::bulk::words::{count, counted, percent};
use crate::tally::LengthBin;

/// Labels that are shown.
const MOST_LABELS: usize = 30;

/// Labels of which a table is small.
const MOST_BESIDE: usize = 5;

/// Height of a histogram, in pixels.
const HEIGHT: f64 = 150.0;

/// The least height of a bar that stands for something.
const LEAST: f64 = 2.0;

/// Below each bar of the lengths, if there are no more.
const MOST_TICKS: usize = 8;

/// A bar of a histogram.
struct Bar {
    /// What it is of.
    name: String,
    texts: u64,
    is_marked: bool,
}

/// What stands below the bars, and where, in percent of the width.
type Tick = (f64, String);

/// How many texts have which label.
pub fn labels(summary: &Summary) -> String {
    let all = summary.texts();
    let mut labels: Vec<_> = summary.labels.0.iter().collect();
    if labels.len() > MOST_LABELS {
        labels.sort_by_key(|(_, texts)| std::cmp::Reverse(*texts));
    }
    let others = labels.split_off(labels.len().min(MOST_LABELS));
    let most = labels.iter().map(|(_, texts)| *texts).max().unwrap_or(0).max(1);
    let row = |(name, texts): &&(String, u64)| {
        let width = 100.0 * *texts as f64 / most as f64;
        format!(
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td class=\"bar\"><i style=\"width:{width:.2}%\"></i></td>\
             <td>{}</td><td>{}</td></tr>\n",
            Escaped(name),
            count(*texts),
            percent(*texts, all)
        )
    };
    let rows: String = labels.iter().map(row).collect();
    let rest: u64 = others.iter().map(|(_, texts)| texts).sum();
    let note = if others.is_empty() {
        String::new()
    } else {
        let others = counted(others.len() as u64, "other");
        format!("<p class=\"note\">and {others}: {} ({})</p>\n", count(rest), percent(rest, all))
    };
    card(beside(summary), "Labels", &format!("<table class=\"labels\">\n{rows}</table>\n{note}"))
}

/// The class of what is of labels: shares and accuracy stand beside one another where both are small.
pub fn beside(summary: &Summary) -> &'static str {
    if summary.accuracy.is_some() && summary.labels.0.len() <= MOST_BESIDE { "" } else { "wide" }
}

/// How sure the model was.
pub fn confidences(summary: &Summary) -> String {
    let bins = confidence_bins(summary, 1);
    let start = bins.first().map_or(0, |bin| bin.from);
    let tick = |hundredths: usize| {
        let at = 100.0 * (hundredths - start) as f64 / (100 - start) as f64;
        (at, format!("{:.1}", hundredths as f64 / 100.0))
    };
    let ticks = (start.div_ceil(10)..=10).map(|tenths| tick(tenths * 10)).collect();
    let bars = bins.iter().map(|bin| Bar {
        name: format!("{} to {}", edge(bin.from), edge(bin.to)),
        texts: bin.texts,
        is_marked: false,
    });
    histogram(("Confidence", "The probability of the label that a text got."), &bars.collect::<Vec<_>>(), ticks)
}

/// How long texts were. What is longer than `cut` tokens was cut there.
pub fn lengths(summary: &Summary, cut: Option<u32>) -> String {
    let bars: Vec<_> = summary
        .lengths
        .iter()
        .map(|bin| Bar {
            name: format!("{} tokens", range(bin)),
            texts: bin.texts,
            is_marked: cut.is_some_and(|cut| bin.from > cut),
        })
        .collect();
    let step = bars.len().div_ceil(MOST_TICKS).max(1);
    let middle = |bar: usize| 100.0 * (bar as f64 + 0.5) / bars.len() as f64;
    let of_bins = summary.lengths.iter().enumerate().step_by(step);
    let ticks = of_bins.map(|(number, bin)| (middle(number), bin.to.map_or("more".to_owned(), |to| format!("≤{to}"))));
    let note = match cut {
        Some(cut) if bars.iter().any(|bar| bar.is_marked) => {
            format!(
                "Tokens of each text, with the special ones. The model saw the first {} of a longer one.",
                count(cut.into())
            )
        }
        _ => "Tokens of each text, with the special ones.".to_owned(),
    };
    histogram(("Length", &note), &bars, ticks.collect())
}

fn range(bin: &LengthBin) -> String {
    match bin.to {
        Some(to) => format!("{} to {}", count(bin.from.into()), count(to.into())),
        None => format!("{} or more", count(bin.from.into())),
    }
}

fn histogram((title, note): (&str, &str), bars: &[Bar], ticks: Vec<Tick>) -> String {
    let all: u64 = bars.iter().map(|bar| bar.texts).sum();
    if all == 0 {
        return String::new();
    }
    let chart = format!(
        "<svg role=\"img\" aria-label=\"{title}, in the table below\" width=\"100%\" height=\"{}\">\n{}{}{}</svg>\n",
        HEIGHT + 42.0,
        grid(bars.iter().map(|bar| bar.texts).max().unwrap_or(0)),
        columns(bars, all),
        ticks.into_iter().map(tick).collect::<String>()
    );
    let row = |bar: &Bar| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
            bar.name,
            count(bar.texts),
            percent(bar.texts, all)
        )
    };
    let rows: String = bars.iter().filter(|bar| bar.texts > 0).map(row).collect();
    let table =
        format!("<details>\n<summary>In numbers</summary>\n<table class=\"numbers\">\n{rows}</table>\n</details>\n");
    card("", title, &format!("<p class=\"note\">{note}</p>\n{chart}{table}"))
}

/// Lines for all, half and none of the longest bar.
fn grid(most: u64) -> String {
    let line = |share: f64| {
        let y = 20.0 + HEIGHT * (1.0 - share);
        format!("<line x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\n")
    };
    format!("{}{}{}<text x=\"0\" y=\"14\">{}</text>\n", line(0.0), line(0.5), line(1.0), counted(most, "text"))
}

fn columns(bars: &[Bar], all: u64) -> String {
    let most = bars.iter().map(|bar| bar.texts).max().unwrap_or(0).max(1);
    let step = 100.0 / bars.len() as f64;
    let column = |(number, bar): (usize, &Bar)| {
        let height = if bar.texts == 0 { 0.0 } else { (HEIGHT * bar.texts as f64 / most as f64).max(LEAST) };
        let class = if bar.is_marked { " class=\"marked\"" } else { "" };
        format!(
            "<rect{class} x=\"{:.3}%\" y=\"{:.2}\" width=\"{:.3}%\" height=\"{height:.2}\"><title>{}: {} ({})</title></rect>\n",
            step * (number as f64 + 0.06),
            20.0 + HEIGHT - height,
            step * 0.88,
            bar.name,
            counted(bar.texts, "text"),
            percent(bar.texts, all)
        )
    };
    bars.iter().enumerate().map(column).collect()
}

/// At the edges it stays within the chart.
fn tick((at, text): Tick) -> String {
    let anchor = match at {
        ..1.0 => "start",
        99.0.. => "end",
        _ => "middle",
    };
    format!("<text x=\"{at:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>\n", HEIGHT + 38.0)
}
