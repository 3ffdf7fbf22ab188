//! How fast what memory was reserved for has to arrive.

use std::time::Duration;

use tokio::time::Instant;

/// How long it may take to get going.
const GRACE: Duration = Duration::from_secs(10);

/// Bytes a second that even the shortest must bring after that.
const SLOWEST: f64 = 64.0 * 1024.0;

/// After a while, something on its way must come at least so fast that it would be whole in its time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    began: Instant,
    patience: Duration,
}

impl Pace {
    /// The pace of what begins now and may take so long.
    pub fn new(patience: Duration) -> Self {
        Self { began: Instant::now(), patience }
    }

    /// When it began.
    pub const fn began(&self) -> Instant {
        self.began
    }

    /// When the next byte of it is too late, so many of so many having arrived.
    pub fn deadline(&self, received: usize, whole: usize) -> Instant {
        self.began + self.patience(received, whole)
    }

    fn patience(&self, received: usize, whole: usize) -> Duration {
        let rate = SLOWEST.max(whole as f64 / self.patience.as_secs_f64());
        self.patience.min(GRACE + Duration::from_secs_f64(received as f64 / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_whole_in_time_is_given_up_early() {
        let pace = Pace::new(Duration::from_mins(2));
        let seconds = |received, whole| pace.patience(received, whole).as_secs();
        assert_eq!(seconds(0, 1000), 10);
        assert_eq!(seconds(64 * 1024, 1024 * 1024), 11);
        // 100 MiB in two minutes: half of it must be there after one, and it is given up at the end.
        let whole = 100 * 1024 * 1024;
        assert_eq!(seconds(0, whole), 10);
        assert_eq!(seconds(whole / 2, whole), 70);
        assert_eq!(seconds(whole - 1, whole), 120);
        assert_eq!(Pace::new(Duration::from_secs(1)).patience(0, whole), Duration::from_secs(1));
    }
}
