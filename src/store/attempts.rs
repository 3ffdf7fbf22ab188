//! Requests that are made again here, since the library makes them once: those whose answer was lost or broke off.

use std::time::{Duration, Instant};

use super::failure::{Fault, FaultKind};

/// How often a request is made in all.
const MOST: usize = 4;

/// What is left of it for one request.
pub struct Attempts {
    left: usize,
    began: Instant,
    within: Duration,
}

impl Attempts {
    /// For so long at most.
    pub fn within(duration: Duration) -> Self {
        Self { left: MOST, began: Instant::now(), within: duration }
    }

    /// Begins anew, when something has come of a request that has more to give.
    pub fn renew(&mut self) {
        *self = Self::within(self.within);
    }

    /// Whether the request may be made again that met this fault.
    ///
    /// # Errors
    /// The fault, if not.
    pub(super) fn spend(&mut self, fault: Fault) -> Result<(), Fault> {
        self.left -= 1;
        let is_over = self.left == 0 || self.began.elapsed() >= self.within;
        if is_over || fault.kind() != FaultKind::Passing { Err(fault) } else { Ok(()) }
    }
}
