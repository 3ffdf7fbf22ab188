//! Requests that are made again here, since the library makes them once: those whose answer was lost, such as to create or delete.

use std::time::{Duration, Instant};

use super::failure::{Fault, FaultKind};

/// How often a request is made in all. The library has waited between its own attempts.
const ATTEMPTS: usize = 4;

/// What is left of it for one request.
pub struct Patience {
    attempts: usize,
    until: Instant,
}

impl Patience {
    /// For so long at most.
    pub fn of(duration: Duration) -> Self {
        Self { attempts: ATTEMPTS, until: Instant::now() + duration }
    }

    /// Whether the request may be made again that met this fault.
    ///
    /// # Errors
    /// The fault, if not.
    pub(super) fn takes(&mut self, fault: Fault) -> Result<(), Fault> {
        self.attempts -= 1;
        let is_over = self.attempts == 0 || Instant::now() >= self.until;
        if is_over || fault.kind() != FaultKind::Passing { Err(fault) } else { Ok(()) }
    }
}
