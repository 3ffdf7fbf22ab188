//! What waits in one lane.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, Row};
use super::pool::Pool;
use super::turns::Turns;
use crate::classifier::batch::{Batch, BatchLimits};
use crate::metrics::QueueDepth;

/// Jobs, rows that are tokenized, and batches that a device had no memory for, in halves.
#[derive(Default)]
pub struct Waiting {
    pub jobs: Turns,
    pub pool: Pool<Row>,
    pub returned: VecDeque<Batch<Row>>,
}

impl Waiting {
    /// The next batch: where so many have room for all that there is, one of so many shares of it, each for a runner that is free,
    /// as this one is. Else one out of those that have waited longest: see [`Pool::take`].
    pub fn take(&mut self, limits: BatchLimits, among: BatchLimits, shares: usize) -> Option<Batch<Row>> {
        // Rows of one job mostly follow one another, and each look at it takes a lock.
        let last = Cell::new((std::ptr::null(), false));
        let is_wanted = |row: &Row| {
            let job = Arc::as_ptr(&row.job);
            if last.get().0 != job {
                last.set((job, row.job.is_wanted()));
            }
            last.get().1
        };
        while let Some(batch) = self.returned.pop_front() {
            if batch.rows.iter().flatten().any(is_wanted) {
                return Some(batch);
            }
        }
        if self.pool.distinct().fits(shares, limits) {
            self.pool.take_share(shares, limits, is_wanted)
        } else {
            self.pool.take(limits, among, is_wanted)
        }
    }

    /// What someone still waits for.
    pub fn depth(&self) -> QueueDepth {
        let returned = self.returned.iter().flat_map(|batch| batch.rows.iter().flatten());
        let tokenized = returned.chain(self.pool.rows()).map(|row| (&row.job, 1));
        let waiting = self.jobs.iter().map(|(job, next)| (job, job.len() - next));
        let mut jobs: HashMap<*const Job, Duration> = HashMap::new();
        let mut rows = 0;
        for (job, count) in tokenized.chain(waiting).filter(|(job, _)| job.is_wanted()) {
            rows += count;
            jobs.entry(Arc::as_ptr(job)).or_insert_with(|| job.age());
        }
        let oldest = jobs.values().max().map_or(0.0, Duration::as_secs_f64);
        QueueDepth { rows, jobs: jobs.len(), oldest }
    }
}
