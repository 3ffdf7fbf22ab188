//! How fast forwards are, of late. Pure.

use std::time::Duration;

/// What is left of what was measured before, with each forward.
const REMEMBERED: f64 = 7.0 / 8.0;

/// An average that forgets.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForwardPace {
    tokens: f64,
    seconds: f64,
}

impl ForwardPace {
    /// A forward of so many tokens took so long.
    pub fn add(&mut self, tokens: usize, time: Duration) {
        self.tokens = self.tokens.mul_add(REMEMBERED, tokens as f64);
        self.seconds = self.seconds.mul_add(REMEMBERED, time.as_secs_f64());
    }

    /// Tokens a second; nothing before there was a forward.
    pub fn rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.tokens / self.seconds)
    }

    /// How long so many tokens will take: no time, as long as nothing is known.
    pub fn time_of(&self, tokens: usize) -> Duration {
        let seconds = self.rate().map_or(0.0, |rate| tokens as f64 / rate);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_measured() {
        let mut pace = ForwardPace::default();
        assert_eq!((pace.rate(), pace.time_of(1000)), (None, Duration::ZERO));
        pace.add(1000, Duration::from_millis(1));
        assert_eq!(pace.time_of(8000), Duration::from_millis(8));
        for _ in 0..40 {
            pace.add(1000, Duration::from_millis(2));
        }
        let slower = pace.time_of(1000).as_secs_f64();
        assert!((slower - 0.002).abs() < 1e-4, "{slower}");
    }
}
