//! Rows a second through the whole engine, tokenizing included, and what its forwards were.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, StringViewArray};
use futures::executor::block_on;
use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::counting::{CountingScorer, Forwards};
use crate::Result;
use crate::classifier::Classifier;
use crate::classifier::batch::BatchLimits;
use crate::classifier::kernels::{GpuCounters, KernelTime, Place};
use crate::engine::{Engine, EngineLimits, EngineOptions, Lane, Scorer, TokenBudget};

/// Rows of a job, at most.
const JOB: usize = 4096;

/// Jobs at a time, so that the next is there when one ends.
const JOBS: usize = 4;

/// Rows that tell how many there is time for.
const PROBE: usize = 512;

/// Batches of a measurement, at least.
const BATCHES: usize = 4;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// So many texts, or tokens of as many.
    Rows(usize),
    /// What suits the device: see [`EngineLimits::for_model`].
    Usual,
}

/// What was measured.
pub struct Throughput {
    /// Tokens that a batch may have.
    pub batch_tokens: usize,
    /// Rows a second.
    pub rows_per_second: f64,
    /// The forwards that the engine made of them.
    pub forwards: Forwards,
    /// What a GPU's threads took for one, until it was in the stream.
    pub host: Option<Duration>,
}

/// The engine over one classifier and texts of `mean` tokens, which it has again and again.
pub struct SpeedTrial {
    scorer: Arc<CountingScorer>,
    place: Place,
    engine: Engine,
    batch: BatchLimits,
    column: StringViewArray,
    mean: usize,
}

impl SpeedTrial {
    /// Starts the engine, with batches of that size.
    pub fn new(classifier: &Arc<Classifier>, column: &[String], size: BatchSize, mean: usize) -> Result<Self> {
        let (batch_rows, batch_tokens) = match size {
            // A GPU's forward is bounded by its tokens alone.
            BatchSize::Rows(rows) => (NonZeroUsize::new(rows), NonZeroUsize::new(rows * mean).map(TokenBudget::AtMost)),
            BatchSize::Usual => (None, None),
        };
        let options = EngineOptions {
            batch_rows,
            batch_tokens,
            batch_latency: None,
            threads: None,
            queue_rows: NonZeroUsize::MIN.saturating_add(JOB * JOBS),
            background: false,
        };
        let limits = EngineLimits::for_model(classifier, &options)?;
        let scorer = CountingScorer::new(classifier);
        let engine = Engine::start(vec![Arc::clone(&scorer) as Arc<dyn Scorer>], limits)?;
        let (place, column) = (classifier.place().clone(), StringViewArray::from_iter_values(column));
        Ok(Self { scorer, place, engine, batch: limits.batch, column, mean })
    }

    /// Rows a second, of as many as take about `duration`.
    pub fn speed(&self, duration: Duration) -> Result<Throughput> {
        let rows = self.rows_in(duration)?;
        self.scorer.forwards();
        let before = self.counters();
        let taken = self.pass(rows)?;
        let host = self.counters().zip(before).map(|(after, before)| {
            let forwards = u32::try_from(after.forwards - before.forwards).unwrap_or(u32::MAX).max(1);
            after.host.saturating_sub(before.host) / forwards
        });
        Ok(Throughput {
            batch_tokens: self.batch.tokens,
            rows_per_second: rows as f64 / taken,
            forwards: self.scorer.forwards(),
            host,
        })
    }

    /// How many rows take so long, after some that warm up: all of the column several times, or a part of it.
    fn rows_in(&self, duration: Duration) -> Result<usize> {
        let probe = PROBE.max(BATCHES * self.batch.rows.min(self.batch.tokens / self.mean)).min(self.column.len());
        if duration.is_zero() {
            return Ok(probe); // a trial, that is no measurement
        }
        let rate = probe as f64 / self.pass(probe)?.min(self.pass(probe)?);
        let (rows, all) = ((rate * duration.as_secs_f64()) as usize, self.column.len());
        // Whole passes, if there are any: the texts of a part are a little longer or shorter.
        Ok(if rows < all { rows.max(probe) } else { rows.next_multiple_of(all) })
    }

    /// What the kernels of each kind take of a GPU, and how many forwards they were in.
    pub fn kernels(&self) -> Result<(Vec<KernelTime>, Forwards)> {
        let Place::Gpu(gpu) = &self.place else { return Ok((Vec::new(), self.scorer.forwards())) };
        gpu.timings(true);
        self.scorer.forwards();
        let done = self.pass(self.column.len().min(JOB));
        // Off again whatever happened.
        let times = gpu.timings(false);
        done.map(|_| (times, self.scorer.forwards()))
    }

    fn counters(&self) -> Option<GpuCounters> {
        match &self.place {
            Place::Cpu => None,
            Place::Gpu(gpu) => Some(gpu.counters()),
        }
    }

    /// Seconds for so many rows: the column again and again.
    fn pass(&self, rows: usize) -> Result<f64> {
        let (all, job) = (self.column.len(), (rows / (2 * JOBS)).clamp(PROBE, JOB));
        let began = Instant::now();
        let mut given = 0;
        let jobs = std::iter::from_fn(|| {
            let from = given % all;
            let job = job.min(all - from).min(rows - given);
            given += job;
            (job > 0).then(|| self.column.slice(from, job))
        });
        let work = jobs.map(|job| self.engine.score(job, Lane::Bulk));
        block_on(stream::iter(work).buffered(JOBS).try_for_each(|_| future::ok(())))?;
        Ok(began.elapsed().as_secs_f64())
    }
}
