//! How many tokens a batch must have to keep a device busy, measured.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::Classifier;
use crate::{Error, Result};

/// What `--batch-tokens` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenBudget {
    /// What a calibration at start finds.
    Auto,
    /// At most so many tokens a batch.
    AtMost(std::num::NonZeroUsize),
}

impl std::fmt::Display for TokenBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::AtMost(tokens) => tokens.fmt(f),
        }
    }
}

/// Budgets that are tried: the double of one another.
const SMALLEST: usize = 512;
const LARGEST: usize = 131_072;

/// Tokens of a sequence that is tried: a usual text.
const SEQUENCE: usize = 32;

/// A budget that is twice as large must be so much faster to be worth its longer wait.
const WORTH: f64 = 1.05;

/// A larger budget is not tried once one has taken this long.
const PATIENCE: Duration = Duration::from_millis(500);

/// The smallest budget, in tokens a batch, above which the device does not get much faster.
///
/// # Errors
/// As for [`Classifier::score`]; a budget that the device has no memory for ends the search instead.
pub fn calibrate(classifier: &Classifier) -> Result<usize> {
    let began = Instant::now();
    let tokens = smallest_busy(|tokens| match time_of(classifier, tokens) {
        Err(Error::OutOfMemory(_)) => Ok(None),
        time => time.map(Some),
    })?;
    info!(tokens, seconds = began.elapsed().as_secs_f32(), device = classifier.info().device, "--batch-tokens auto");
    Ok(tokens)
}

/// Doubles the budget while that pays; `time` gives what a batch of so many tokens takes, or nothing where it cannot run.
fn smallest_busy(mut time: impl FnMut(usize) -> Result<Option<Duration>>) -> Result<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut tokens = SMALLEST;
    while tokens <= LARGEST {
        let Some(taken) = time(tokens)? else { break };
        let rate = tokens as f64 / taken.as_secs_f64().max(1e-9);
        debug!(tokens, tokens_per_second = rate, "calibration");
        if best.is_some_and(|(_, before)| rate < before * WORTH) {
            break;
        }
        best = Some((tokens, rate));
        if taken > PATIENCE {
            break;
        }
        tokens *= 2;
    }
    Ok(best.map_or(SMALLEST, |(tokens, _)| tokens))
}

/// The shortest of three batches, after one that warms up.
fn time_of(classifier: &Classifier, tokens: usize) -> Result<Duration> {
    let sequence = classifier.encode(&"a ".repeat(SEQUENCE))?.ids;
    let sequence = &sequence[..SEQUENCE.min(sequence.len())];
    let batch = vec![sequence; tokens.div_ceil(sequence.len())];
    let run = || {
        let began = Instant::now();
        classifier.score(&batch).map(|_| began.elapsed())
    };
    let first = run()?;
    if first > PATIENCE {
        return Ok(first);
    }
    Ok(run()?.min(run()?).min(run()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that starts in `launch` milliseconds and then does `rate` tokens a millisecond.
    fn device(launch: f64, rate: f64) -> impl FnMut(usize) -> Result<Option<Duration>> {
        move |tokens| Ok(Some(Duration::from_secs_f64((launch + tokens as f64 / rate) / 1000.0)))
    }

    #[test]
    fn grows_while_that_pays() {
        assert_eq!(smallest_busy(device(0.0, 5.0)).unwrap(), 512);
        // 0.8 ms of launches, 5,000 tokens a millisecond: at 65,536 tokens the launches are 6 % of a batch.
        assert_eq!(smallest_busy(device(0.8, 5000.0)).unwrap(), 65_536);
        assert_eq!(smallest_busy(device(1e-3, 1e9)).unwrap(), LARGEST);
    }

    #[test]
    fn stops_where_memory_or_patience_ends() {
        let mut small = device(100.0, 1e9);
        assert_eq!(smallest_busy(|tokens| if tokens > 4096 { Ok(None) } else { small(tokens) }).unwrap(), 4096);
        assert_eq!(smallest_busy(|_| Ok(None)).unwrap(), SMALLEST);
        assert_eq!(smallest_busy(device(600.0, 1e9)).unwrap(), SMALLEST);
        assert!(smallest_busy(|_| Err(Error::Failed("broken".to_owned()))).is_err());
    }
}
