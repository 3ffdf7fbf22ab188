//! What becomes of the rows of a batch: they begin, are charged, and have their scores or not.

use std::time::Duration;

use super::job::Row;
use crate::classifier::Score;
use crate::classifier::batch::{Batch, BatchLimits};
use crate::metrics::{Forward, LaneMetrics};
use crate::{Error, Result};

impl Batch<Row> {
    /// How full it is: of the rows or the tokens that it may have, whichever is nearer to its bound.
    pub fn fill(&self, limits: BatchLimits) -> f64 {
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        share(self.sequences.len(), limits.rows).max(share(self.tokens(), limits.tokens))
    }

    /// Counts a forward that is about to be run.
    pub fn begin(&self, limits: BatchLimits, metrics: &LaneMetrics) {
        self.rows.iter().flatten().filter_map(|row| row.job.begin()).for_each(|waited| metrics.waited(waited));
        metrics.forward(Forward {
            sequences: self.sequences.len(),
            tokens: self.tokens(),
            longest: self.sequences.iter().map(Vec::len).max().unwrap_or(0),
            fill: self.fill(limits),
        });
    }

    /// Gives each job its share of the time of a forward.
    pub fn charge(&self, time: Duration) {
        let of_token = time.as_secs_f64() / self.tokens().max(1) as f64;
        for (sequence, rows) in self.sequences.iter().zip(&self.rows) {
            let share = Duration::from_secs_f64(of_token * sequence.len() as f64 / rows.len() as f64);
            for row in rows {
                row.job.charge(share);
            }
        }
    }

    /// Gives each row what became of its sequence.
    pub fn answer(&self, scores: &[Result<Score>], metrics: &LaneMetrics) {
        let of = |scored: bool| {
            let rows = self.rows.iter().zip(scores).filter(|(_, score)| score.is_ok() == scored);
            rows.map(|(rows, _)| rows.len()).sum()
        };
        metrics.scored(of(true));
        metrics.failed(of(false));
        for ((sequence, rows), score) in self.sequences.iter().zip(&self.rows).zip(scores) {
            for row in rows {
                match score {
                    Ok(score) => row.job.set(row, score, row.tokens > sequence.len()),
                    Err(error) => row.job.miss(row.index, error),
                }
            }
        }
    }

    /// Fails all jobs that have rows in it.
    pub fn fail(&self, error: &Error, metrics: &LaneMetrics) {
        let rows = || self.rows.iter().flatten();
        metrics.failed(rows().count());
        rows().for_each(|row| row.job.fail(error));
    }
}
