//! What a device computes, one forward after another, and for how long it has work. Pure.

use std::time::{Duration, Instant};

use super::pace::ForwardPace;

/// A device's forwards that are not over.
#[derive(Debug, Default)]
pub struct Device {
    /// Tokens of each, that which it computes first.
    forwards: Vec<usize>,
    /// When it began with the first.
    since: Option<Instant>,
}

impl Device {
    /// Whether it has nothing to compute.
    pub const fn is_idle(&self) -> bool {
        self.forwards.is_empty()
    }

    /// A forward of so many tokens is put behind what it computes.
    pub fn begin(&mut self, tokens: usize, now: Instant) {
        if self.is_idle() {
            self.since = Some(now);
        }
        self.forwards.push(tokens);
    }

    /// One of so many tokens is over. Says how long the device was at it, without what it waited behind others.
    pub fn end(&mut self, tokens: usize, now: Instant) -> Duration {
        if let Some(at) = self.forwards.iter().position(|other| *other == tokens) {
            self.forwards.remove(at);
        }
        let began = self.since.replace(now);
        began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }

    /// For how long it has work, at this pace.
    pub fn left(&self, pace: ForwardPace, now: Instant) -> Duration {
        let gone = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let each = self.forwards.iter().enumerate().map(|(at, tokens)| {
            let whole = pace.time_of(*tokens);
            if at == 0 { whole.saturating_sub(gone) } else { whole }
        });
        each.fold(Duration::ZERO, Duration::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_takes_what_passes_since_the_one_before_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let millis = Duration::from_millis;
        let mut pace = ForwardPace::default();
        let mut device = Device::default();
        assert!(device.is_idle());
        device.begin(1000, at(0));
        assert_eq!(device.left(pace, at(1)), Duration::ZERO, "nothing is known");
        pace.add(1000, millis(10));
        assert_eq!(device.left(pace, at(4)), millis(6));
        device.begin(500, at(8));
        assert_eq!(device.left(pace, at(8)), millis(2) + millis(5));
        assert_eq!(device.left(pace, at(30)), millis(5), "the first is late");
        assert_eq!(device.end(1000, at(30)), millis(30));
        assert_eq!(device.left(pace, at(32)), millis(3));
        assert_eq!(device.end(500, at(36)), millis(6));
        assert!(device.is_idle());
        device.begin(10, at(100));
        assert_eq!(device.end(10, at(101)), millis(1), "it was idle before");
    }
}
