//! How large batches may be: less, once the device had no memory for one.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::classifier::batch::BatchLimits;

/// Tokens of a usual text, with the two special ones.
pub const USUAL_TOKENS: usize = 25;

/// Tokens that are always allowed.
const LEAST: usize = 512;

/// The limits of all batches.
pub struct Budget {
    rows: usize,
    tokens: AtomicUsize,
}

impl Budget {
    /// What the operator allows.
    pub const fn new(limits: BatchLimits) -> Self {
        Self { rows: limits.rows, tokens: AtomicUsize::new(limits.tokens) }
    }

    /// What is allowed now.
    pub fn limits(&self) -> BatchLimits {
        BatchLimits { rows: self.rows, tokens: self.tokens.load(Ordering::Relaxed) }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_shrinks_and_not_below_a_small_batch() {
        let budget = Budget::new(BatchLimits { rows: 32, tokens: 4096 });
        assert_eq!(budget.turn(), 4);
        let halved = |budget: &Budget, tokens| {
            budget.halve(tokens);
            budget.limits()
        };
        assert_eq!(halved(&budget, 4000), BatchLimits { rows: 32, tokens: 2000 });
        assert_eq!(halved(&budget, 4090).tokens, 2000);
        assert_eq!(halved(&budget, 30).tokens, LEAST);
        let small = Budget::new(BatchLimits { rows: 32, tokens: 100 });
        assert_eq!(halved(&small, 90).tokens, 100);
    }
}
