//! How far a download is: a bar on a terminal, a line in the log elsewhere. What is over at once shows nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

/// From then on it is worth a bar.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one line in the log to the next.
const PACE: Duration = Duration::from_secs(10);

/// Shows the progress of one file.
pub struct Meter {
    file: String,
    total: Option<u64>,
    is_shown: bool,
    bar: Option<ProgressBar>,
    next: Instant,
}

impl Meter {
    /// A meter for a file of `total` bytes, if that is known. Where `is_shown` is false it says nothing.
    pub fn new(file: &str, total: Option<u64>, is_shown: bool) -> Self {
        Self { file: file.to_owned(), total, is_shown, bar: None, next: Instant::now() + PATIENCE }
    }

    /// So many bytes are there.
    pub fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            return bar.set_position(bytes);
        }
        if !self.is_shown || Instant::now() < self.next {
            return;
        }
        if std::io::stderr().is_terminal() {
            self.bar = Some(self.bar().with_position(bytes));
        } else {
            info!(file = self.file, bytes, total = self.total, "fetching");
            self.next = Instant::now() + PACE;
        }
    }

    fn bar(&self) -> ProgressBar {
        let template = match self.total {
            Some(_) => "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} ({eta})",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(self.total, ProgressDrawTarget::stderr());
        bar.with_message(self.file.clone()).with_style(style)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
