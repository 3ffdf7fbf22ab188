//! How much is tokenized ahead of those who run batches.

use super::job::Row;
use super::pool::Pool;
use super::{EngineLimits, Lane, Runners};
use crate::classifier::batch::BatchLimits;
use crate::metrics::ByLane;

/// Rows of a window, at least.
const WINDOW_ROWS: usize = 32;

/// The same, at most, on few cores that run batches between windows. A batch leaves nothing of the vocabulary in a core's cache, so
/// that each window pays for it anew. But a request that comes meanwhile waits for those of others.
const LONG_WINDOW_ROWS: ByLane<usize> = ByLane { interactive: 128, bulk: 512 };

/// Whole batches that are tokenized ahead for each runner: it then finds its next one there. Of more, those whose lengths are far
/// from the oldest row's would stay behind for longer, and with them the scores of rows after them.
pub const BATCHES_AHEAD: usize = 2;

/// So many times as many rows are tokenized ahead where most are equal: what is computed is the distinct ones.
const EQUAL_ROWS: usize = 8;

/// What bounds it.
pub struct Ahead {
    /// Rows of a window.
    window_rows: ByLane<usize>,
    /// At least, so that like lengths are found among them.
    rows: usize,
    /// Batches that can be run at once: one a core, or a device.
    at_once: usize,
}

impl Ahead {
    /// Over so many scorers.
    pub fn new(limits: &EngineLimits, scorers: usize) -> Self {
        let window = |most| match limits.runners {
            Runners::Tokenizers => (limits.ahead_rows.get() / limits.threads.get()).clamp(WINDOW_ROWS, most),
            Runners::Own(_) => WINDOW_ROWS,
        };
        let ByLane { interactive, bulk } = LONG_WINDOW_ROWS;
        let window_rows = ByLane { interactive: window(interactive), bulk: window(bulk) };
        Self { window_rows, rows: limits.ahead_rows.get(), at_once: limits.at_once(scorers) }
    }

    /// Rows that are tokenized before others of the lane are seen.
    pub const fn window_rows(&self, lane: Lane) -> usize {
        match lane {
            Lane::Interactive => self.window_rows.interactive,
            Lane::Bulk => self.window_rows.bulk,
        }
    }

    /// Whether enough of a lane is tokenized. Of requests that is what the runners can take at once: one that comes next waits for
    /// no more than that. Of equal ones they take all that there are.
    pub fn has_enough(&self, pool: &Pool<Row>, lane: Lane, limits: BatchLimits) -> bool {
        let (all, distinct) = (pool.all(), pool.distinct().wholes(limits));
        let has_rows = all.rows >= self.rows;
        let ahead = BATCHES_AHEAD * self.at_once;
        match lane {
            Lane::Interactive => has_rows || distinct >= self.at_once,
            Lane::Bulk => has_rows && (distinct >= ahead || all.wholes(limits) >= EQUAL_ROWS * ahead),
        }
    }
}
