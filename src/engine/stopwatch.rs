//! How long a thread's own work takes, without what it does meanwhile for others.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The watch of one thread.
#[derive(Debug, Default)]
pub struct Stopwatch {
    /// What was done for others so far.
    aside: Cell<Duration>,
}

impl Stopwatch {
    /// Does `work`, and says how long it took without what was done [`Stopwatch::aside`].
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let (began, before) = (Instant::now(), self.aside.get());
        let done = work();
        (done, (began.elapsed() + before).saturating_sub(self.aside.get()))
    }

    /// Does `work` within other work, whose time it does not count for.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let (began, before) = (Instant::now(), self.aside.get());
        let done = work();
        // All of it, whatever was done aside within.
        self.aside.set(before + began.elapsed());
        done
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[test]
    fn what_is_done_aside_does_not_count_and_counts_once() {
        let watch = Stopwatch::default();
        let whole = Instant::now();
        let (inner, own) = watch.time(|| {
            sleep(MOMENT);
            watch.aside(|| {
                let ((), inner) = watch.time(|| {
                    sleep(MOMENT);
                    watch.aside(|| sleep(10 * MOMENT));
                });
                inner
            })
        });
        assert!(own >= MOMENT && inner >= MOMENT, "{own:?} {inner:?}");
        // However slow the machine is: the ten moments are in neither.
        assert!(own + inner + 10 * MOMENT <= whole.elapsed(), "{own:?} {inner:?}");
    }
}
