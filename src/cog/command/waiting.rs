//! A sign of life for whoever waits at a terminal.

use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes no longer than this needs no sign.
const PATIENCE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(100);
const SPINNER: &str = "{spinner} {msg}, {elapsed}";

/// Waits for `work`. If that takes long, and stderr is a terminal, a spinner there says `what` is going on.
pub(super) async fn with_spinner<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    spin_after(PATIENCE, what, ProgressDrawTarget::stderr(), work).await
}

async fn spin_after<T>(
    patience: Duration,
    what: &'static str,
    target: ProgressDrawTarget,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(patience, &mut work).await {
        return done;
    }
    let _spinner = Spinner::start(what, patience, target);
    work.await
}

/// Turns until it is dropped, and leaves nothing behind. On what is no terminal it is not drawn.
struct Spinner(ProgressBar);

impl Spinner {
    fn start(what: &'static str, elapsed: Duration, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target).with_elapsed(elapsed).with_message(what);
        // The template is a constant of this file, and a test reads it.
        if let Ok(style) = ProgressStyle::with_template(SPINNER) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Screen;

    async fn screen_after(patience: Duration, work: Duration) -> (String, String) {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let work = async {
            tokio::time::sleep(work).await;
            screen.text()
        };
        let during = spin_after(patience, "working", target, work).await;
        (during, screen.text().trim().to_owned())
    }

    #[tokio::test]
    async fn long_work_shows_a_spinner_and_takes_it_away() {
        let (during, after) = screen_after(Duration::from_millis(1), Duration::from_millis(500)).await;
        assert!(during.contains("working, "), "{during:?}");
        assert_eq!(after, "");
    }

    #[tokio::test]
    async fn short_work_shows_nothing() {
        let (during, after) = screen_after(Duration::from_mins(1), Duration::from_millis(1)).await;
        assert_eq!((&*during, &*after), ("", ""));
    }
}
