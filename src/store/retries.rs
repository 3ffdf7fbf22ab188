//! Requests that are made again here, since the library makes them once: those whose answer was lost or broke off.

use std::time::{Duration, Instant};

use super::failure::{Fault, FaultKind};
use super::options::StoreLimits;

/// How often in a row a request is made again that gave nothing.
const MOST: usize = 4;

/// How long to wait before it is, and as much more each time.
const PAUSE: Duration = Duration::from_millis(100);

/// How often one request was made again, and may be: within what the operator allows of retries and of time for them.
pub struct Retries {
    made: usize,
    most: usize,
    began: Instant,
    within: Duration,
}

impl Retries {
    /// None was made.
    pub(super) fn new(limits: &StoreLimits) -> Self {
        Self { made: 0, most: limits.retries.min(MOST), began: Instant::now(), within: limits.all_retries }
    }

    /// Begins anew, when something has come of a request that has more to give.
    pub fn renew(&mut self) {
        self.made = 0;
        self.began = Instant::now();
    }

    /// Waits until the request that met this fault may be made again.
    ///
    /// # Errors
    /// The fault, if it may not.
    pub(super) async fn wait(&mut self, fault: Fault) -> Result<(), Fault> {
        let is_over = self.made == self.most || self.began.elapsed() >= self.within;
        if is_over || fault.kind() != FaultKind::Passing {
            return Err(fault);
        }
        self.made += 1;
        tokio::time::sleep(PAUSE * self.made as u32).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn made(limits: StoreLimits, fault: fn() -> Fault) -> usize {
        let mut retries = Retries::new(&limits);
        let mut made = 0;
        while retries.wait(fault()).await.is_ok() {
            made += 1;
        }
        made
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_as_often_as_is_allowed() {
        let limits = StoreLimits::default();
        assert_eq!(made(limits, Fault::cut_off).await, MOST);
        assert_eq!(made(limits, Fault::changed).await, 0);
        for retries in [0, 1, 2] {
            assert_eq!(made(StoreLimits { retries, ..limits }, Fault::cut_off).await, retries);
        }
        assert_eq!(made(StoreLimits { all_retries: Duration::ZERO, ..limits }, Fault::cut_off).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_begins_it_anew() {
        let mut retries = Retries::new(&StoreLimits { retries: 1, ..StoreLimits::default() });
        for _ in 0..9 {
            retries.wait(Fault::cut_off()).await.unwrap();
            retries.renew();
        }
        retries.wait(Fault::cut_off()).await.unwrap();
        retries.wait(Fault::cut_off()).await.unwrap_err();
    }
}
