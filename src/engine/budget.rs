//! How large batches may be: less, once the device had no memory for one.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::classifier::plan::BatchLimits;

/// The limits that all model threads plan with.
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

    /// Allows from now on at most half of the tokens of a batch that was too much.
    pub fn halve(&self, tokens: usize) -> BatchLimits {
        self.tokens.fetch_min((tokens / 2).max(1), Ordering::Relaxed);
        self.limits()
    }
}
