//! How long a call may go on in which nothing happens: its client sends nothing, and nothing is being done for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::readiness::{Phase, Readiness};
use crate::{Error, Result};

/// What of it is left to a call where the server has been told to stop.
const STOPPING: Duration = Duration::from_secs(1);

/// A call's doings. Cheap to clone; all clones are of the same call.
#[derive(Clone)]
pub struct Quiet {
    doings: Arc<Mutex<Doings>>,
    bound: Duration,
    server: Readiness,
}

struct Doings {
    /// Batches that came and are not answered.
    open: usize,
    since: Instant,
}

impl Quiet {
    /// Of a call that begins, and may be quiet for so long.
    pub fn new(bound: Duration, server: Readiness) -> Self {
        Self { doings: Arc::new(Mutex::new(Doings { open: 0, since: Instant::now() })), bound, server }
    }

    /// A batch has come that is to be answered.
    pub fn begin(&self) {
        self.doings().open += 1;
    }

    /// One is answered.
    pub fn end(&self) {
        let mut doings = self.doings();
        doings.open = doings.open.saturating_sub(1);
        doings.since = Instant::now();
    }

    /// Waits for what the client sends, but not for ever.
    ///
    /// # Errors
    /// [`Error::Stalled`] when it has been quiet for too long, [`Error::Busy`] when the server stops meanwhile.
    pub async fn wait<T>(&self, arrival: impl Future<Output = T>) -> Result<T> {
        self.doings().since = Instant::now();
        tokio::select! {
            biased;
            arrived = arrival => Ok(arrived),
            () = self.lasts(self.bound) => Err(self.too_long()),
            () = self.outlasts_the_server() => Err(Error::Busy("the server is stopping; try again later".to_owned())),
        }
    }

    /// Waits until it has been quiet for so long.
    async fn lasts(&self, bound: Duration) {
        loop {
            let (is_busy, quiet_until) = {
                let doings = self.doings();
                (doings.open > 0, doings.since + bound)
            };
            if is_busy {
                // Looked at again after as long as it may be quiet: that is soon enough.
                sleep_until(Instant::now() + bound).await;
            } else if Instant::now() >= quiet_until {
                return;
            } else {
                sleep_until(quiet_until).await;
            }
        }
    }

    async fn outlasts_the_server(&self) {
        loop {
            let phase = self.server.phase();
            if phase == Phase::Draining {
                return self.lasts(STOPPING).await;
            }
            if self.server.after(&phase).await.is_none() {
                return std::future::pending().await;
            }
        }
    }

    fn too_long(&self) -> Error {
        Error::Stalled(format!(
            "nothing came for {} s, which is as long as --exchange-idle-timeout lets a call be quiet; end it, and begin \
             another when there is more",
            self.bound.as_secs_f32()
        ))
    }

    fn doings(&self) -> MutexGuard<'_, Doings> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.doings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const BOUND: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_quiet_call_ends_and_says_by_which_option() {
        let quiet = Quiet::new(BOUND, Readiness::loading());
        let began = Instant::now();
        let error = quiet.wait(pending::<()>()).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), 60);
        assert!(matches!(&error, Error::Stalled(text) if text.contains("--exchange-idle-timeout")), "{error}");
        assert_eq!(quiet.wait(async { 3 }).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn while_something_is_done_for_it_it_is_not_quiet() {
        let quiet = Quiet::new(BOUND, Readiness::loading());
        quiet.begin();
        let ends = async {
            tokio::time::sleep(10 * BOUND).await;
            quiet.end();
            tokio::time::sleep(BOUND / 2).await;
        };
        quiet.wait(ends).await.unwrap();
        let began = Instant::now();
        quiet.wait(pending::<()>()).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_does_not_wait_for_a_quiet_call() {
        let server = Readiness::loading();
        let quiet = Quiet::new(BOUND, server.clone());
        let began = Instant::now();
        server.drain();
        let error = quiet.wait(pending::<()>()).await.unwrap_err();
        assert!(matches!(&error, Error::Busy(text) if text.contains("stopping")), "{error}");
        assert!(began.elapsed() <= STOPPING);
        // What is being done is.
        quiet.begin();
        quiet.wait(tokio::time::sleep(BOUND / 2)).await.unwrap();
    }
}
