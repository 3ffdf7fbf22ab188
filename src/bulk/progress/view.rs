//! How far a run is, as people or machines are told.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::state::{Amount, Files, Moment};
use crate::bulk::words;

/// From one look at a bar to the next.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// A run that is shorter tells nothing of its progress.
const PATIENCE: Duration = Duration::from_secs(2);

/// From one line of a log to the next.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// From one JSON object to the next.
const JSON_EVERY: Duration = Duration::from_secs(2);

const BAR: &str = "{bar:30} {wide_msg}";

/// Steps of a bar: what it is a bar of may be longer than it counts.
const BAR_STEPS: u64 = 3000;

/// Where it is told.
pub enum View {
    /// Nowhere.
    None,
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// A line now and then.
    Lines(Box<dyn Write + Send>),
    /// A JSON object a line.
    Json(Box<dyn Write + Send>),
}

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The run begins.
    Start,
    /// It goes on.
    Progress,
    /// It is over.
    End,
    /// It was broken off.
    Stopped,
}

impl View {
    pub fn bar(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), target);
        // The template is a constant of this file, and a test reads it.
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self::Bar(bar)
    }

    /// How long until it is told again, and until it is told first.
    pub const fn pace(&self, is_first: bool) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Bar(_) => Some(BAR_EVERY),
            Self::Lines(_) => Some(if is_first { PATIENCE } else { LINE_EVERY }),
            Self::Json(_) => Some(JSON_EVERY),
        }
    }

    /// What cannot be written is no reason to stop.
    pub fn show(&mut self, event: ProgressEvent, moment: &Moment) {
        match (self, event) {
            (Self::Bar(bar), ProgressEvent::Progress) => {
                bar.set_position((share(&moment.bytes).unwrap_or(0.0) * BAR_STEPS as f64) as u64);
                bar.set_message(words(moment));
            }
            (Self::Bar(bar), ProgressEvent::End | ProgressEvent::Stopped) => bar.finish_and_clear(),
            (Self::Lines(out), ProgressEvent::Progress) => drop(writeln!(out, "{}", words(moment))),
            (Self::Json(out), event) => drop(writeln!(out, "{}", object(event, moment))),
            (Self::None | Self::Bar(_) | Self::Lines(_), _) => {}
        }
    }

    /// Something that people have to know at once.
    pub fn tell(&mut self, text: &str) {
        match self {
            Self::Bar(bar) if !bar.is_hidden() => bar.println(text),
            Self::Json(out) => drop(writeln!(out, "{}", json!({"event": "message", "text": text}))),
            Self::Lines(out) => drop(writeln!(out, "{text}")),
            Self::None | Self::Bar(_) => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

/// The part that is done, from 0 to 1.
fn share(amount: &Amount) -> Option<f64> {
    let total = amount.total.filter(|total| *total > 0)?;
    Some((amount.done as f64 / total as f64).min(1.0))
}

fn object(event: ProgressEvent, moment: &Moment) -> String {
    let event = match event {
        ProgressEvent::Start => "start",
        ProgressEvent::Progress => "progress",
        ProgressEvent::End => "end",
        ProgressEvent::Stopped => "stopped",
    };
    let mut object = json!({ "event": event });
    if let (Some(fields), Ok(serde_json::Value::Object(moment))) =
        (object.as_object_mut(), serde_json::to_value(moment))
    {
        fields.extend(moment);
    }
    object.to_string()
}

/// `40%, 4,000 of 10,000 rows, 727 rows/s, 1.0 of 2.5 MiB, 1 of 3 files, about 8 s left`
fn words(moment: &Moment) -> String {
    let Moment { rows, bytes, files, .. } = moment;
    let mut parts = Vec::new();
    parts.extend(share(bytes).map(|share| format!("{:.0}%", (100.0 * share).floor())));
    parts.push(match rows.total {
        Some(total) => format!("{} of {} rows", words::count(rows.done), words::count(total)),
        None => words::counted(rows.done, "row"),
    });
    parts.push(format!("{} rows/s", words::count(moment.rows_per_second.round() as u64)));
    parts.push(match bytes.total {
        Some(total) => format!("{} of {}", words::bytes(bytes.done), words::bytes(total)),
        None => words::bytes(bytes.done),
    });
    if files.total > 1 {
        parts.push(files_in_words(files));
    }
    if let Some(left) = moment.seconds_left.and_then(|left| Duration::try_from_secs_f64(left).ok()) {
        parts.push(format!("about {} left", words::span(left)));
    }
    parts.join(", ")
}

fn files_in_words(files: &Files) -> String {
    let words = format!("{} of {} files", words::count(files.ended()), words::count(files.total));
    let among = words::some_of(&[(files.skipped, "skipped"), (files.failed, "failed")]);
    if among.is_empty() { words } else { format!("{words} ({among})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        Moment {
            seconds: 5.5,
            files: Files { total: 1, ..Files::default() },
            rows: Amount { done: 4000, total: Some(10_000) },
            resumed: 0,
            bytes: Amount { done: 1 << 20, total: Some(5 << 19) },
            rows_per_second: 726.6,
            seconds_left: Some(8.25),
        }
    }

    #[test]
    fn a_line_says_how_much_is_done_how_fast_and_what_is_left() {
        assert_eq!(words(&moment()), "40%, 4,000 of 10,000 rows, 727 rows/s, 1.0 MiB of 2.5 MiB, about 8 s left");
    }

    #[test]
    fn a_line_of_many_files_says_what_became_of_them() {
        let files = Files { total: 1200, done: 2, skipped: 1, failed: 1000 };
        let rows = Amount { total: None, ..moment().rows };
        assert_eq!(
            words(&Moment { files, rows, ..moment() }),
            "40%, 4,000 rows, 727 rows/s, 1.0 MiB of 2.5 MiB, 1,003 of 1,200 files (1 skipped, 1,000 failed), about 8 s left"
        );
    }

    #[test]
    fn a_line_says_nothing_that_nobody_knows() {
        let (rows, bytes) = (Amount { done: 1, total: None }, Amount { done: 7, total: None });
        let moment = Moment { rows, bytes, seconds_left: None, ..moment() };
        assert_eq!(words(&moment), "1 row, 727 rows/s, 7 B");
    }

    #[test]
    fn an_object_says_the_same_to_machines() {
        assert_eq!(
            object(ProgressEvent::Progress, &moment()),
            r#"{"event":"progress","seconds":5.5,"files":{"total":1,"done":0,"skipped":0,"failed":0},"#.to_owned()
                + r#""rows":{"done":4000,"total":10000},"resumed":0,"bytes":{"done":1048576,"total":2621440},"#
                + r#""rows_per_second":726.6,"seconds_left":8.25}"#
        );
        let unknown = Moment { seconds_left: None, ..moment() };
        assert!(object(ProgressEvent::End, &unknown).ends_with(r#""seconds_left":null}"#));
    }
}
