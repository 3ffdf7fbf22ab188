//! How large batches may be: less, once the device had no memory for one, or takes too long for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pace::ForwardPace;
use crate::classifier::batch::BatchLimits;

/// Tokens of a usual text, with the two special ones.
pub const USUAL_TOKENS: usize = 25;

/// Tokens that are always allowed.
const LEAST: usize = 512;

/// How long before a device is done with what it has the next batch is put behind that: enough to launch it, though the end comes
/// a little before it is expected. A request that comes between waits for both.
const LEAD: Duration = Duration::from_millis(2);

/// Of a batch that tells how fast larger ones are, this share of what it may have is there. Smaller ones are mostly launches.
const TELLING: f64 = 0.5;

/// The limits of all batches.
pub struct Budget {
    rows: usize,
    /// What there is memory for.
    tokens: AtomicUsize,
    /// What is over in time.
    timely: AtomicUsize,
    /// How long a forward may take, with the lead of the next.
    latency: Option<Duration>,
    pace: Mutex<ForwardPace>,
}

impl Budget {
    /// What the operator allows. With a latency, batches are small until it is known how long they take.
    pub fn new(limits: BatchLimits, latency: Option<Duration>) -> Self {
        let timely = if latency.is_some() { LEAST } else { usize::MAX };
        Self {
            rows: limits.rows,
            tokens: AtomicUsize::new(limits.tokens),
            timely: AtomicUsize::new(timely),
            latency,
            pace: Mutex::default(),
        }
    }

    /// What is allowed now.
    pub fn limits(&self) -> BatchLimits {
        let tokens = self.tokens.load(Ordering::Relaxed).min(self.timely.load(Ordering::Relaxed));
        BatchLimits { rows: self.rows, tokens }
    }

    /// Rows that a stream gives at its turn, unless fewer make a window: an eighth of a batch of usual texts.
    pub fn turn(&self) -> usize {
        let BatchLimits { rows, tokens } = self.limits();
        (rows.min(tokens / USUAL_TOKENS) / 8).max(1)
    }

    /// Allows from now on at most half of the tokens of a batch that was too much, but always as many as a small batch has:
    /// memory that lacks for less is lacking for the moment.
    pub fn halve(&self, tokens: usize) {
        self.tokens.fetch_min((tokens / 2).max(LEAST), Ordering::Relaxed);
    }

    /// A forward is over that had so many tokens and was so full, of 0 to 1.
    pub fn measured(&self, tokens: usize, fill: f64, time: Duration) {
        if fill < TELLING {
            return;
        }
        let mut pace = self.lock();
        pace.add(tokens, time);
        if let (Some(latency), Some(rate)) = (self.latency, pace.rate()) {
            let timely = (latency.saturating_sub(self.lead())).as_secs_f64() * rate;
            self.timely.store((timely as usize).max(LEAST), Ordering::Relaxed);
        }
    }

    /// How long before a device is done the next batch may be put behind what it has.
    pub fn lead(&self) -> Duration {
        self.latency.map_or(LEAD, |latency| LEAD.min(latency / 4))
    }

    /// How fast forwards are.
    pub fn pace(&self) -> ForwardPace {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, ForwardPace> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_shrinks_and_not_below_a_small_batch() {
        let budget = Budget::new(BatchLimits { rows: 32, tokens: 4096 }, None);
        assert_eq!(budget.turn(), 4);
        let halved = |budget: &Budget, tokens| {
            budget.halve(tokens);
            budget.limits()
        };
        assert_eq!(halved(&budget, 4000), BatchLimits { rows: 32, tokens: 2000 });
        assert_eq!(halved(&budget, 4090).tokens, 2000);
        assert_eq!(halved(&budget, 30).tokens, LEAST);
        let small = Budget::new(BatchLimits { rows: 32, tokens: 100 }, None);
        assert_eq!(halved(&small, 90).tokens, 100);
    }

    /// A device that takes so many milliseconds for a forward and for each thousand of its tokens. How long full forwards take in
    /// the end, in milliseconds, and their tokens.
    fn settled(latency: u64, launch: f64, thousand: f64) -> (f64, usize) {
        let budget = Budget::new(BatchLimits { rows: 16_384, tokens: 16_384 }, Some(Duration::from_millis(latency)));
        assert_eq!(budget.limits().tokens, LEAST, "nothing is known");
        let time = |tokens: usize| thousand.mul_add(tokens as f64 / 1000.0, launch);
        for _ in 0..100 {
            let tokens = budget.limits().tokens;
            budget.measured(tokens, 1.0, Duration::from_secs_f64(time(tokens) / 1000.0));
            // Of a request, which says nothing of whole batches.
            budget.measured(20, 20.0 / tokens as f64, Duration::from_secs_f64(time(20) / 1000.0));
        }
        (time(budget.limits().tokens), budget.limits().tokens)
    }

    #[test]
    fn a_forward_and_the_lead_of_the_next_are_over_in_time() {
        let (ms, _) = settled(10, 0.5, 2.0);
        assert!((7.8..=8.0).contains(&ms), "{ms}");
        let (ms, _) = settled(4, 0.5, 0.6);
        assert!((2.9..=3.0).contains(&ms), "{ms}");
        assert_eq!(settled(100, 0.5, 0.2).1, 16_384, "what was allowed is the most");
        assert_eq!(settled(1, 5.0, 5.0).1, LEAST, "a small batch is always allowed");
    }
}
