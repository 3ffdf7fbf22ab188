//! How far a run is: a bar on a terminal, a line now and then in a log.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::rate;

/// How often a log hears of a run.
const LINE_EVERY: Duration = Duration::from_secs(10);

const BAR: &str = "{bar:30} {human_pos}/{human_len} rows, {per_sec}, {eta} left";

/// Where a run tells how far it is.
#[derive(Debug)]
pub struct Progress(Kind);

#[derive(Debug)]
enum Kind {
    Silent,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

impl Progress {
    /// Tells nobody.
    pub fn silent() -> Self {
        Self(Kind::Silent)
    }

    /// A bar on stderr if that is a terminal, and lines if it is not.
    pub fn on_stderr() -> Self {
        if stderr().is_terminal() {
            Self::bar(ProgressDrawTarget::stderr())
        } else {
            Self::lines(Box::new(stderr()), LINE_EVERY)
        }
    }

    fn bar(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // The template is a constant of this file, and a test reads it.
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.with_key(
                "per_sec",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    // A bar that cannot be drawn is no reason to stop.
                    let _ = write!(out, "{:.0} rows/s", state.per_sec());
                },
            ));
        }
        Self(Kind::Bar(bar))
    }

    pub(super) fn lines(out: Box<dyn Write + Send>, every: Duration) -> Self {
        let now = Instant::now();
        Self(Kind::Lines(Mutex::new(Lines { out, every, started: now, told: now, done: 0, total: 0 })))
    }

    /// More rows will come.
    pub(super) fn expect(&self, rows: u64) {
        match &self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.inc_length(rows),
            Kind::Lines(lines) => lock(lines).total += rows,
        }
    }

    /// These rows are done.
    pub(super) fn advance(&self, rows: u64) {
        match &self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.inc(rows),
            Kind::Lines(lines) => lock(lines).advance(rows),
        }
    }

    /// The run is over: takes the bar away, so that the closing line stands alone.
    pub(super) fn finish(&self) {
        if let Kind::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A run that ends early leaves no bar behind on the terminal.
impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Counters stay right even if a thread died while it held them.
fn lock(lines: &Mutex<Lines>) -> std::sync::MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Lines {
    out: Box<dyn Write + Send>,
    every: Duration,
    started: Instant,
    told: Instant,
    done: u64,
    total: u64,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { done, total, .. } = self;
        write!(f, "Lines({done} of {total})")
    }
}

impl Lines {
    fn advance(&mut self, rows: u64) {
        self.done += rows;
        if self.told.elapsed() < self.every || self.done >= self.total {
            return;
        }
        self.told = Instant::now();
        let Self { done, total, .. } = self;
        let a_second = rate(*done, self.started.elapsed());
        let percent = 100.0 * *done as f64 / *total as f64;
        let left = (*total - *done) as f64 / a_second;
        // A log that cannot be written is no reason to stop.
        let _ =
            writeln!(self.out, "{done} of {total} rows ({percent:.0}%), {a_second:.0} rows/s, about {left:.0} s left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Screen;
    use std::sync::Arc;

    /// Output that the test can read while the other end is in use.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_log_hears_of_a_long_run_until_its_last_row() {
        let log = Log::default();
        let progress = Progress::lines(Box::new(log.clone()), Duration::ZERO);
        progress.expect(10);
        progress.advance(4);
        let line = log.text();
        assert!(line.starts_with("4 of 10 rows (40%), "), "{line}");
        assert!(line.ends_with(" s left\n"), "{line}");
        progress.advance(6);
        assert_eq!(log.text(), line);
    }

    #[test]
    fn a_log_hears_nothing_of_a_short_run() {
        let log = Log::default();
        let progress = Progress::lines(Box::new(log.clone()), LINE_EVERY);
        progress.expect(10);
        progress.advance(4);
        assert_eq!(log.text(), "");
    }

    #[test]
    fn a_bar_tells_rows_speed_and_time_and_goes() {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::bar(target);
        progress.expect(2000);
        progress.advance(1000);
        let Kind::Bar(bar) = &progress.0 else {
            panic!("no bar");
        };
        bar.force_draw();
        let shown = screen.text();
        assert!(shown.contains("1,000/2,000 rows, "), "{shown}");
        assert!(shown.contains(" rows/s, "), "{shown}");
        assert!(shown.trim_end().ends_with(" left"), "{shown}");
        drop(progress);
        assert_eq!(screen.text().trim(), "");
    }
}
