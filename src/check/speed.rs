//! Rows a second through the whole engine, tokenizing included.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::StringViewArray;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::classifier::Classifier;
use crate::classifier::plan::BatchLimits;
use crate::engine::{Engine, EngineLimits, Lane};
use crate::{Error, Result};

/// What was measured.
pub struct Rate {
    pub rows_per_second: f64,
}

/// Rows of a job.
const JOB: usize = 4096;

/// Jobs at a time, so that the next is there when one ends.
const JOBS: usize = 4;

/// Scores `column` again and again, until `duration` is over.
pub async fn measure(
    classifier: &Arc<Classifier>,
    column: &[String],
    batch_rows: usize,
    duration: Duration,
) -> Result<Rate> {
    let batch = BatchLimits { rows: batch_rows, tokens: usize::MAX };
    let limits = EngineLimits::for_model(classifier, batch, None);
    let scorer = Arc::clone(classifier);
    let engine = Engine::start(vec![scorer], classifier.info().clone(), limits)?;
    let jobs: Vec<StringViewArray> = column.chunks(JOB).map(StringViewArray::from_iter_values).collect();
    let jobs = NonZeroUsize::new(jobs.len())
        .map(|_| jobs)
        .ok_or_else(|| Error::Invalid("--rows 0: nothing to measure with".to_owned()))?;
    let pass = async |times: usize| -> Result<f64> {
        let began = Instant::now();
        let work = jobs.iter().cycle().take(jobs.len() * times).map(|job| engine.score(job.clone(), Lane::Bulk));
        stream::iter(work).buffered(JOBS).try_for_each(|_| async { Ok(()) }).await?;
        Ok(began.elapsed().as_secs_f64())
    };
    // Warms up, and tells how many passes fill the time.
    let once = pass(1).await?.min(pass(1).await?);
    let times = (duration.as_secs_f64() / once).ceil().max(1.0) as usize;
    let taken = pass(times).await?;
    Ok(Rate { rows_per_second: (column.len() * times) as f64 / taken })
}
