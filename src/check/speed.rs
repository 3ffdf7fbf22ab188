//! Rows a second through the whole engine, tokenizing included, and what its forwards were.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::StringViewArray;
use futures::executor::block_on;
use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::watched::{Forwards, Watched};
use crate::Result;
use crate::classifier::Classifier;
use crate::classifier::kernels::{GpuCounters, KernelTime, Place};
use crate::engine::{Engine, EngineLimits, EngineOptions, Lane, Scorer, TokenBudget};

/// Rows of a job.
const JOB: usize = 4096;

/// Jobs at a time, so that the next is there when one ends: on the largest card they are eight of its batches.
const JOBS: usize = 4;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many texts, or tokens of as many.
    Rows(usize),
    /// What suits the device: see [`EngineLimits::for_model`].
    Usual,
}

/// What was measured.
pub struct Speed {
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
pub struct Course {
    scorer: Arc<Watched>,
    place: Place,
    engine: Engine,
    batch_tokens: usize,
    jobs: Vec<StringViewArray>,
    rows: usize,
}

impl Course {
    /// Starts the engine, with batches of that size.
    pub fn new(classifier: &Arc<Classifier>, column: &[String], size: Size, mean: usize) -> Result<Self> {
        let (batch_rows, batch_tokens) = match size {
            // A GPU's forward is bounded by its tokens alone.
            Size::Rows(rows) => (NonZeroUsize::new(rows), NonZeroUsize::new(rows * mean).map(TokenBudget::AtMost)),
            Size::Usual => (None, None),
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
        let scorer = Watched::new(classifier);
        let engine = Engine::start(vec![Arc::clone(&scorer) as Arc<dyn Scorer>], limits)?;
        let jobs = column.chunks(JOB).map(StringViewArray::from_iter_values).collect();
        let place = classifier.place().clone();
        Ok(Self { scorer, place, engine, batch_tokens: limits.batch.tokens, jobs, rows: column.len() })
    }

    /// Rows a second, until `duration` is over.
    pub fn speed(&self, duration: Duration) -> Result<Speed> {
        // Warms up, and tells how many passes fill the time.
        let once = self.pass(1)?.min(self.pass(1)?);
        let times = (duration.as_secs_f64() / once).ceil().max(1.0) as usize;
        self.scorer.forwards();
        let before = self.counters();
        let taken = self.pass(times)?;
        let host = self.counters().zip(before).map(|(after, before)| {
            let forwards = u32::try_from(after.forwards - before.forwards).unwrap_or(u32::MAX).max(1);
            (after.host - before.host) / forwards
        });
        Ok(Speed {
            batch_tokens: self.batch_tokens,
            rows_per_second: (self.rows * times) as f64 / taken,
            forwards: self.scorer.forwards(),
            host,
        })
    }

    /// What the kernels of each kind take of a GPU, and how many forwards they were in.
    pub fn kernels(&self) -> Result<(Vec<KernelTime>, Forwards)> {
        let Place::Gpu(gpu) = &self.place else { return Ok((Vec::new(), self.scorer.forwards())) };
        gpu.timings(true);
        self.scorer.forwards();
        let done = self.pass(1);
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

    /// Seconds for all texts, so many times.
    fn pass(&self, times: usize) -> Result<f64> {
        let began = Instant::now();
        let jobs = self.jobs.iter().cycle().take(self.jobs.len() * times);
        let work = jobs.map(|job| self.engine.score(job.clone(), Lane::Bulk));
        block_on(stream::iter(work).buffered(JOBS).try_for_each(|_| future::ok(())))?;
        Ok(began.elapsed().as_secs_f64())
    }
}
