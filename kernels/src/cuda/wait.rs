//! Waits for a device, but not for ever: a card can hang without an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::error;

use super::event::Event;
use super::trouble::Trouble;

/// How long nothing may end on a device that somebody waits for; a forward takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names another number of seconds.
const PATIENCE_VARIABLE: &str = "TEXTFLIGHT_GPU_TIMEOUT";

/// How long a process may take to end in order when a device hangs. The driver may wait for it then, for ever.
const LAST_RESORT: Duration = Duration::from_secs(15);

/// Pauses between two looks: short ones at first, so that a short wait is no longer than it must.
const PAUSES: [Duration; 2] = [Duration::from_micros(10), Duration::from_micros(250)];

unsafe extern "C" {
    /// Of the C library: ends the process at once.
    fn _exit(code: i32) -> !;
}

/// What was last heard of a device.
pub struct Watch {
    patience: Duration,
    last: Mutex<Instant>,
    hangs: AtomicBool,
}

impl Watch {
    /// # Errors
    /// When the environment names no number of seconds.
    pub fn from_environment() -> Result<Self, Trouble> {
        let patience = match std::env::var(PATIENCE_VARIABLE) {
            Err(_) => PATIENCE,
            Ok(text) => text.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(|| {
                Trouble::Refused(format!("{PATIENCE_VARIABLE} is {text:?}: a number of seconds is expected"))
            })?,
        };
        Ok(Self { patience, last: Mutex::new(Instant::now()), hangs: AtomicBool::new(false) })
    }

    /// # Errors
    /// [`Trouble::Hangs`] once somebody has found that it does: it gets no more work.
    pub fn check(&self) -> Result<(), Trouble> {
        if self.hangs.load(Ordering::Relaxed) { Err(Trouble::Hangs(self.patience)) } else { Ok(()) }
    }

    /// Waits until an event is reached.
    ///
    /// # Errors
    /// The driver's, when the device failed before it; [`Trouble::Hangs`] when too long nobody has seen any event reached.
    pub fn wait(&self, event: &Event) -> Result<(), Trouble> {
        let began = Instant::now();
        self.check()?;
        while !event.is_reached()? {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.max(began).elapsed() > self.patience {
                self.give_up();
            }
            self.check()?;
            // An eighth longer than needed, at most: whoever waits long does not wake for nothing.
            thread::sleep((began.elapsed() / 8).clamp(PAUSES[0], PAUSES[1]));
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }

    /// The process is to end, by whoever is told; if it cannot, it ends all the same.
    fn give_up(&self) {
        if self.hangs.swap(true, Ordering::Relaxed) {
            return;
        }
        error!(seconds = self.patience.as_secs(), "a GPU hangs: the process ends");
        let last_resort = || {
            thread::sleep(LAST_RESORT);
            // SAFETY: nothing of this process is needed any more; what it had to say is said.
            unsafe { _exit(1) }
        };
        // Without a thread for it the process ends in order, or not.
        let _ = thread::Builder::new().name("last-resort".to_owned()).spawn(last_resort);
    }
}
