//! How far a run is, in numbers.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// The time of which the speed is the mean: long enough that batches do not make it jump, short enough that it follows.
const WINDOW: Duration = Duration::from_secs(30);

/// Times between two of which the speed is measured, at most.
const SAMPLES: usize = 256;

/// Files by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    pub total: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Files {
    /// Those that nothing is left to do for.
    pub const fn ended(&self) -> u64 {
        self.done + self.skipped + self.failed
    }
}

/// How much is done, of how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub done: u64,
    /// `None` until it is known.
    pub total: Option<u64>,
}

/// How far a run is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moment {
    /// Since the run began.
    pub seconds: f64,
    pub files: Files,
    pub rows: Amount,
    /// Rows among those done that an earlier run had scored.
    pub resumed: u64,
    /// Of the inputs.
    pub bytes: Amount,
    pub rows_per_second: f64,
    /// `None` until anything is done that it could be told from.
    pub seconds_left: Option<f64>,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct ProgressState {
    pub files: Files,
    /// Files whose rows are known, and those rows.
    pub counted_files: u64,
    pub counted_rows: u64,
    pub rows: u64,
    pub resumed: u64,
    /// Bytes of all inputs, without those of files that were given up or had nothing to do.
    pub bytes_total: u64,
    /// Whether there are inputs whose length nobody knows.
    pub is_endless: bool,
    pub bytes: u64,
    /// Bytes among those done that took no time.
    pub bytes_resumed: u64,
    speed: Speed,
}

impl ProgressState {
    /// How far the run is, so long after it began.
    pub fn at(&mut self, elapsed: Duration) -> Moment {
        let done = Done { rows: self.rows - self.resumed, bytes: self.bytes - self.bytes_resumed };
        let a_second = self.speed.at(elapsed, done);
        let all_counted = self.files.total > 0 && self.counted_files == self.files.total;
        let bytes_total = (!self.is_endless).then_some(self.bytes_total);
        let bytes_left = bytes_total.map(|total| total.saturating_sub(self.bytes) as f64);
        let seconds_left = bytes_left.map(|left| left / a_second.bytes).filter(|left| left.is_finite());
        Moment {
            seconds: elapsed.as_secs_f64(),
            files: self.files,
            rows: Amount { done: self.rows, total: all_counted.then_some(self.counted_rows) },
            resumed: self.resumed,
            bytes: Amount { done: self.bytes, total: bytes_total },
            rows_per_second: a_second.rows,
            seconds_left,
        }
    }
}

/// What this run has done.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    rows: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct PerSecond {
    rows: f64,
    bytes: f64,
}

/// What was done when, for as long as [`WINDOW`].
#[derive(Debug, Default)]
struct Speed(VecDeque<(Duration, Done)>);

impl Speed {
    fn at(&mut self, now: Duration, done: Done) -> PerSecond {
        while self.0.len() >= SAMPLES || self.0.get(1).is_some_and(|(then, _)| *then + WINDOW <= now) {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or_default();
        self.0.push_back((now, done));
        let seconds = now.saturating_sub(then).as_secs_f64();
        let rate = |done: u64, before: u64| if seconds > 0.0 { (done - before) as f64 / seconds } else { 0.0 };
        PerSecond { rows: rate(done.rows, before.rows), bytes: rate(done.bytes, before.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: &mut ProgressState, seconds: u64) -> Moment {
        state.at(Duration::from_secs(seconds))
    }

    fn state() -> ProgressState {
        ProgressState { files: Files { total: 2, ..Files::default() }, bytes_total: 1000, ..ProgressState::default() }
    }

    #[test]
    fn what_is_left_is_told_by_bytes() {
        let mut state = state();
        assert_eq!(at(&mut state, 0).seconds_left, None);
        (state.rows, state.bytes) = (20, 200);
        let moment = at(&mut state, 10);
        assert_eq!((moment.rows_per_second, moment.seconds_left), (2.0, Some(40.0)));
        state.is_endless = true;
        assert_eq!(at(&mut state, 11).seconds_left, None);
    }

    #[test]
    fn what_an_earlier_run_did_is_no_speed() {
        let mut state = state();
        at(&mut state, 0);
        (state.rows, state.bytes, state.resumed, state.bytes_resumed) = (100, 600, 80, 500);
        let moment = at(&mut state, 10);
        assert_eq!((moment.rows_per_second, moment.seconds_left), (2.0, Some(40.0)));
        assert_eq!((moment.rows.done, moment.resumed), (100, 80));
    }

    #[test]
    fn the_speed_is_that_of_late() {
        let mut state = state();
        for second in 0..=100 {
            state.rows += if second < 60 { 1 } else { 7 };
            at(&mut state, second);
        }
        assert_eq!(at(&mut state, 101).rows_per_second.round(), 7.0);
        assert_eq!(at(&mut state, 1000).rows_per_second, 0.0, "nothing comes any more");
    }

    #[test]
    fn the_rows_are_known_once_each_file_is_open() {
        let mut state = state();
        (state.counted_files, state.counted_rows) = (1, 10);
        assert_eq!(at(&mut state, 1).rows.total, None);
        (state.counted_files, state.counted_rows) = (2, 30);
        assert_eq!(at(&mut state, 1).rows.total, Some(30));
    }

    #[test]
    fn the_speed_remembers_a_bounded_time() {
        let mut state = state();
        for ms in 0..10_000 {
            state.at(Duration::from_millis(ms));
        }
        assert_eq!(state.speed.0.len(), SAMPLES);
    }
}
