//! Names for predictions whose client gave none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static LAST: AtomicU64 = AtomicU64::new(0);

/// A new id, `pred_` and the time in nanoseconds as Cog makes them. No two are equal, whatever the clock does.
pub(super) fn generate() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    format!("pred_{:x}", later(&LAST, now))
}

/// `now`, or the number after the last one given out if the clock has not passed that.
fn later(last: &AtomicU64, now: u64) -> u64 {
    let next = |last: u64| now.max(last.wrapping_add(1));
    last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).map_or(now, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_cog() {
        let id = generate();
        let hex = id.strip_prefix("pred_").expect("the prefix");
        assert_eq!(hex.len(), 16, "{id}");
        assert!(u64::from_str_radix(hex, 16).is_ok(), "{id}");
    }

    #[test]
    fn no_two_are_equal() {
        let last = AtomicU64::new(0);
        let stopped_clock = [7, 7, 7, 3, 9, 20].map(|now| later(&last, now));
        assert_eq!(stopped_clock, [7, 8, 9, 10, 11, 20]);
        assert_ne!(generate(), generate());
    }
}
