//! How long the jobs of one caller took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Adds up the times of jobs that come through [`super::Engine::timed`], which may wait and be computed side by side.
#[derive(Debug, Default)]
pub struct Timings {
    /// Nanoseconds.
    queue: AtomicU64,
    compute: AtomicU64,
    rows: AtomicU64,
}

impl Timings {
    /// How long jobs have waited, each until the first of its rows was in a forward.
    pub fn queue(&self) -> Duration {
        Duration::from_nanos(self.queue.load(Ordering::Relaxed))
    }

    /// The jobs' shares of the forwards that they were in: a row's is that of its tokens.
    pub fn compute(&self) -> Duration {
        Duration::from_nanos(self.compute.load(Ordering::Relaxed))
    }

    /// Rows of the jobs that were queued.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn add_queue(&self, time: Duration) {
        self.queue.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    pub(super) fn add_compute(&self, time: Duration) {
        self.compute.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }
}

/// 584 years of them fit.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
