//! What a run did as a page: one file that needs nothing else, can be read without scripts, and does what no text in it says.

mod charts;
mod confusion;
mod examples;
mod markup;

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::charts::{confidences, labels, lengths};
use self::confusion::accuracy;
use self::examples::examples;
use self::markup::{Escaped, card};
use crate::bulk::summary::Summary;
use crate::bulk::words::{count, counted, percent, some_of, span};

const STYLE: &str = include_str!("html/style.css");

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// When it began.
    pub began: SystemTime,
    /// The model's name.
    pub model: String,
    /// Where texts are cut, in tokens with the special ones, if that is known.
    pub max_length: Option<u32>,
    /// What else there is to know of it, by name.
    pub facts: Vec<(&'static str, String)>,
}

/// The page.
#[derive(Debug, Clone, Copy)]
pub struct ReportPage<'a> {
    /// What came of it.
    pub summary: &'a Summary,
    /// What ran.
    pub ran: &'a Ran,
}

impl Display for ReportPage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { summary, ran } = self;
        let title = format!("{} scored", counted(summary.rows, "row"));
        // Neither scripts nor anything from elsewhere, whatever a text holds.
        writeln!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n<p>by {}</p>",
            Escaped(&ran.model)
        )?;
        f.write_str(&tiles(summary))?;
        f.write_str("</header>\n<main>\n")?;
        let sections = [
            failures(summary),
            labels(summary),
            accuracy(summary),
            confidences(summary),
            lengths(summary, ran.max_length),
            examples(summary),
            facts(ran),
        ];
        sections.into_iter().try_for_each(|section| f.write_str(&section))?;
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

/// The numbers that are looked for first. What is nothing out of the ordinary is left out.
fn tiles(summary: &Summary) -> String {
    let texts = summary.texts();
    let speed = format!("{} rows/s", count(summary.rows_per_second.round() as u64));
    let took = match Duration::try_from_secs_f64(summary.seconds) {
        Ok(long) if summary.seconds >= 10.0 => span(long),
        _ => format!("{:.1} s", summary.seconds),
    };
    let mut tiles = vec![("Rows", count(summary.rows), format!("{speed} in {took}"))];
    if let Some(accuracy) = summary.accuracy {
        let of = format!("{} of {} right", count(accuracy.right), count(accuracy.judged));
        tiles.push((
            "Accuracy",
            accuracy.share().map_or("unknown".to_owned(), |share| format!("{:.1}%", 100.0 * share)),
            of,
        ));
    }
    if texts > 0 {
        let of = format!("{} of {}", count(summary.truncated), counted(texts, "text"));
        tiles.push(("Cut", percent(summary.truncated, texts), of));
        let each = summary.tokens as f64 / texts as f64;
        tiles.push(("Tokens", count(summary.tokens), format!("{each:.1} a text")));
    }
    let mut more = |name, number, what: &str| {
        if number > 0 {
            tiles.push((name, count(number), what.to_owned()));
        }
    };
    more("Nulls", summary.nulls, "have no text and no label");
    more("Errors", summary.errors, "could not be scored");
    more("Duplicates", summary.duplicates_saved, "scored once for all");
    more("Resumed", summary.resumed, "rows, scored by an earlier run");
    let files = summary.files;
    if files.done + files.skipped + files.failed > 1 {
        let others = some_of(&[(files.skipped, "skipped"), (files.failed, "failed")]);
        tiles.push(("Files", count(files.done), others));
    }
    let tile =
        |(name, number, more)| format!("<div><dt>{name}</dt><dd><b>{number}</b><small>{more}</small></dd></div>\n");
    format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.into_iter().map(tile).collect::<String>())
}

fn failures(summary: &Summary) -> String {
    if summary.failures.is_empty() {
        return String::new();
    }
    let items = summary.failures.iter();
    let items = items.map(|it| format!("<li><code>{}</code> {}</li>\n", Escaped(&it.file), Escaped(&it.error)));
    let note = match summary.files.failed.saturating_sub(summary.failures.len() as u64) {
        0 => String::new(),
        more => format!("<p class=\"note\">and {} more</p>\n", count(more)),
    };
    let list = format!("<ul class=\"failures\">\n{}</ul>\n{note}", items.collect::<String>());
    card("wide failed", &format!("{} failed", counted(summary.files.failed, "file")), &list)
}

fn facts(ran: &Ran) -> String {
    let fact = |(name, value): &(&str, String)| format!("<dt>{}</dt><dd>{}</dd>\n", Escaped(name), Escaped(value));
    let (began, model) = (("Began", time(ran.began)), ("Model", ran.model.clone()));
    let facts: String = [began, model].iter().chain(&ran.facts).map(fact).collect();
    card("wide", "What ran", &format!("<dl class=\"facts\">\n{facts}</dl>\n"))
}

/// `2026-11-24 07:27:15 UTC`; empty for a clock that is centuries off.
fn time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).ok();
    let time = seconds.and_then(arrow::temporal_conversions::timestamp_s_to_datetime);
    time.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
