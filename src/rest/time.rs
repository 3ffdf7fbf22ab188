//! How long a request may take, and its client stand still.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{Error, Result};

/// How long a request that has begun may take.
#[derive(Debug, Clone, Copy)]
pub struct RequestTime {
    /// How long its client may send nothing of the body, or leave the answer unread.
    pub stall: Duration,
    total: Duration,
    began: Instant,
}

impl RequestTime {
    /// For a request that begins now, and may take so long in all.
    pub fn new(stall: Duration, total: Duration) -> Self {
        Self { stall, total, began: Instant::now() }
    }

    /// What `work` gives, if that comes in time.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Stalled`].
    pub async fn bound<T, E: From<Error>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let left = self.total.saturating_sub(self.began.elapsed());
        timeout(left, work).await.unwrap_or_else(|_| {
            let seconds = self.total.as_secs_f32();
            Err(Error::Stalled(format!("the {seconds} s that --stream-timeout gives a request have passed")).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_that_a_request_does_has_its_time_together() {
        let time = RequestTime::new(Duration::from_secs(1), Duration::from_secs(10));
        let work = async |seconds| {
            time.bound(async {
                sleep(Duration::from_secs(seconds)).await;
                Ok::<_, Error>(())
            })
            .await
        };
        work(6).await.unwrap();
        let error = work(6).await.unwrap_err();
        assert!(
            matches!(&error, Error::Stalled(text) if text.starts_with("the 10 s that --stream-timeout gives")),
            "{error}"
        );
        // Nor is the longest time that there is too long.
        RequestTime::new(Duration::MAX, Duration::MAX).bound(async { Ok::<_, Error>(()) }).await.unwrap();
    }
}
