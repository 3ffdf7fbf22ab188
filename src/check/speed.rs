//! Rows a second through the whole engine, tokenizing included.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::StringViewArray;
use futures::executor::block_on;
use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::Result;
use crate::classifier::Classifier;
use crate::engine::{Engine, EngineLimits, EngineOptions, Lane, Scorer, TokenBudget};

/// Rows of a job.
const JOB: usize = 4096;

/// Jobs at a time, so that the next is there when one ends.
const JOBS: usize = 4;

/// Rows a second in batches of so many texts of `mean` tokens, over `column` again and again until `duration` is over.
pub fn measure(
    classifier: &Arc<Classifier>,
    column: &[String],
    (batch_rows, mean): (usize, usize),
    duration: Duration,
) -> Result<f64> {
    let options = EngineOptions {
        batch_rows: NonZeroUsize::new(batch_rows),
        // A GPU's forward is bounded by its tokens alone.
        batch_tokens: Some(TokenBudget::AtMost(NonZeroUsize::MIN.saturating_add(batch_rows * mean))),
        batch_latency: None,
        threads: None,
        queue_rows: NonZeroUsize::MIN.saturating_add(JOB * JOBS),
        background: false,
    };
    let limits = EngineLimits::for_model(classifier, &options)?;
    let engine = Engine::start(vec![Arc::clone(classifier) as Arc<dyn Scorer>], limits)?;
    let jobs: Vec<StringViewArray> = column.chunks(JOB).map(StringViewArray::from_iter_values).collect();
    let pass = |times: usize| -> Result<f64> {
        let began = Instant::now();
        let work = jobs.iter().cycle().take(jobs.len() * times).map(|job| engine.score(job.clone(), Lane::Bulk));
        block_on(stream::iter(work).buffered(JOBS).try_for_each(|_| future::ok(())))?;
        Ok(began.elapsed().as_secs_f64())
    };
    // Warms up, and tells how many passes fill the time.
    let once = pass(1)?.min(pass(1)?);
    let times = (duration.as_secs_f64() / once).ceil().max(1.0) as usize;
    let taken = pass(times)?;
    Ok((column.len() * times) as f64 / taken)
}
