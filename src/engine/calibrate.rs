//! How many tokens a batch must have to keep a device busy, measured: by the engine, in full batches as it forms them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::StringViewArray;
use futures::executor::block_on;
use tracing::{debug, info};

use super::budget::USUAL_TOKENS;
use super::{Engine, EngineLimits, Lane, Scorer};
use crate::classifier::batch::BatchLimits;
use crate::classifier::kernels::Team;
use crate::classifier::{BatchScores, Encoding, ModelInfo};
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

/// A budget that is twice as large must be so much faster to be worth its longer wait.
const WORTH: f64 = 1.05;

/// A larger budget is not tried once a forward has taken this long.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whole batches that are run with each budget, on each core or device.
const BATCHES: usize = 6;

/// Texts that are tokenized for it: those after them are the same in another order.
const TEXTS: usize = 2048;

/// The smallest budget, in tokens a batch, above which the device does not get much faster. `limits` say the rest.
///
/// # Errors
/// When a text cannot be tokenized, or the device fails; a budget that it has no memory for ends the search instead.
pub fn calibrate(scorer: &Arc<dyn Scorer>, limits: &EngineLimits) -> Result<usize> {
    let began = Instant::now();
    let rehearsal = Arc::new(Rehearsal::new(Arc::clone(scorer))?);
    let tokens = smallest_busy(|tokens| rehearsal.pace(tokens, limits))?;
    info!(tokens, seconds = began.elapsed().as_secs_f32(), device = scorer.info().device, "--batch-tokens auto");
    Ok(tokens)
}

/// Doubles the budget while that pays; `rate` gives the tokens a second of batches of so many, or nothing where they cannot run.
fn smallest_busy(mut rate: impl FnMut(usize) -> Result<Option<f64>>) -> Result<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut tokens = SMALLEST;
    while tokens <= LARGEST {
        let Some(found) = rate(tokens)? else { break };
        debug!(tokens, tokens_per_second = found, "calibration");
        if best.is_some_and(|(_, before)| found < before * WORTH) {
            break;
        }
        best = Some((tokens, found));
        if tokens as f64 / found > PATIENCE.as_secs_f64() {
            break;
        }
        tokens *= 2;
    }
    Ok(best.map_or(SMALLEST, |(tokens, _)| tokens))
}

/// A scorer whose texts are numbers, tokenized before: so that there are always rows, however few cores feed it.
struct Rehearsal {
    scorer: Arc<dyn Scorer>,
    encodings: Vec<Encoding>,
}

impl Rehearsal {
    fn new(scorer: Arc<dyn Scorer>) -> Result<Self> {
        let encodings = (0..TEXTS).map(|number| scorer.encode(&text(number), &|| ())).collect::<Result<_>>()?;
        Ok(Self { scorer, encodings })
    }

    /// Tokens a second of full batches of so many; nothing where there is no memory for them.
    fn pace(self: &Arc<Self>, tokens: usize, limits: &EngineLimits) -> Result<Option<f64>> {
        let batch = BatchLimits { rows: limits.batch.rows.min(tokens), tokens };
        let scorer = Arc::clone(self) as Arc<dyn Scorer>;
        let engine = Engine::start(vec![scorer], EngineLimits { batch, batch_latency: None, ..*limits })?;
        let rows = BATCHES * limits.at_once(1) * batch.rows.min(tokens / USUAL_TOKENS).max(1);
        let numbers: StringViewArray = (0..rows).map(|row| Some(row.to_string())).collect();
        match block_on(engine.score(numbers, Lane::Bulk)) {
            Err(Error::Unscorable { cause, .. }) => debug!(tokens, cause, "calibration"),
            scores => drop(scores?),
        }
        let had_memory = engine.shared.queue.budget().limits() == batch;
        Ok(engine.shared.queue.budget().pace().rate().filter(|_| had_memory))
    }
}

/// Texts of 1 to 46 short words, of which none is the same.
fn text(number: usize) -> String {
    const WORDS: [&str; 16] =
        ["the", "a", "film", "is", "and", "of", "it", "in", "that", "not", "with", "good", "bad", "one", "for", "time"];
    let mut bits = number;
    let words = 1 + number.wrapping_mul(0x9e37_79b9) / 64 % 46;
    let word = |_| {
        bits = bits.wrapping_mul(0x5851_f42d).wrapping_add(0x1405_7b7f);
        WORDS[bits / 4096 % WORDS.len()]
    };
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

impl Scorer for Rehearsal {
    fn info(&self) -> &ModelInfo {
        self.scorer.info()
    }

    fn encode(&self, text: &str, _pause: &dyn Fn()) -> Result<Encoding> {
        let number: usize = text.parse().map_err(|_| Error::Failed(format!("{text} is no number")))?;
        let mut encoding = self.encodings[number % TEXTS].clone();
        // The first and the last are special.
        if let [_, inner @ .., _] = &mut encoding.ids[..]
            && !inner.is_empty()
        {
            let by = number / TEXTS % inner.len();
            inner.rotate_left(by);
        }
        Ok(encoding)
    }

    fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores {
        self.scorer.score_batch(sequences, team, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, limits};
    use super::*;

    /// A device that starts in `launch` milliseconds and then does `rate` tokens a millisecond.
    fn device(launch: f64, rate: f64) -> impl FnMut(usize) -> Result<Option<f64>> {
        move |tokens| Ok(Some(1000.0 * tokens as f64 / (launch + tokens as f64 / rate)))
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

    #[test]
    fn what_is_measured_are_full_batches_of_distinct_texts() {
        let fake: Arc<Fake> = Arc::default();
        let rehearsal = Arc::new(Rehearsal::new(Arc::clone(&fake) as Arc<dyn Scorer>).unwrap());
        let limits = EngineLimits { batch: BatchLimits { rows: usize::MAX, tokens: 1 }, ..limits(100_000) };
        assert!(rehearsal.pace(4096, &limits).unwrap().is_some());
        // A token a character: all but the first and the last have as many as they may.
        let batches = fake.scored.lock().unwrap();
        let distinct: std::collections::HashSet<_> = batches.iter().collect();
        assert!(distinct.len() > 9 * batches.len() / 10, "{} of {}", distinct.len(), batches.len());
        let poor = Arc::new(Fake { memory: Some(2000), ..Fake::default() });
        let rehearsal = Arc::new(Rehearsal::new(poor).unwrap());
        assert_eq!(rehearsal.pace(4096, &limits).unwrap(), None);
        assert!(rehearsal.pace(1024, &limits).unwrap().is_some());
    }
}
