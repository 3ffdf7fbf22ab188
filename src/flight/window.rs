//! What one stream out of a data set holds in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::memory::{Memory, Reservation};
use crate::{Error, Result};

/// Bytes that a stream takes at its start: what is read ahead, in the engine, and on its way out.
const WINDOW: usize = 16 * 1024 * 1024;

/// The part of it that batches take which are decoded before they are asked for.
const AHEAD: usize = 4;

/// Bytes of one permit.
const UNIT: usize = 1024;

/// Bytes of the budget when it is this stream's turn.
///
/// # Errors
/// [`Error::Busy`] when there are none in time, [`Error::TooLarge`] when it has not as many.
pub async fn reserve(memory: &Memory, bytes: usize, patience: Duration) -> Result<Reservation> {
    let none = || {
        Error::Busy(format!(
            "at capacity: no memory for {} s (--memory-limit); try again later",
            patience.as_secs_f32()
        ))
    };
    timeout(patience, memory.reserve(bytes)).await.unwrap_or_else(|_| Err(none()))
}

/// Bytes that a stream may hold. They are taken once, so that no stream that holds some waits for others.
#[derive(Debug, Clone)]
pub struct Window {
    memory: Memory,
    /// How long it waits for memory.
    patience: Duration,
    reservation: Reservation,
    permits: Arc<Semaphore>,
    units: u32,
}

/// Bytes of a window, given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Held {
    _permit: Arc<OwnedSemaphorePermit>,
    _reservation: Reservation,
    /// What the window has no room for.
    _beyond: Option<Reservation>,
}

/// Gives back, when it is dropped, what nothing is held of: a client that does not read keeps no more than what waits for it.
#[derive(Debug)]
pub struct Closing(Window);

impl Drop for Closing {
    fn drop(&mut self) {
        let free = self.0.permits.available_permits();
        self.0.reservation.shrink_to((self.0.units as usize).saturating_sub(free) * UNIT);
    }
}

impl Window {
    /// To be kept for as long as the stream is made.
    pub fn closing(&self) -> Closing {
        Closing(self.clone())
    }

    /// Takes a window out of the budget when it is this stream's turn; a smaller one where the budget is no larger.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is none in time.
    pub async fn open(memory: &Memory, patience: Duration) -> Result<Self> {
        let mut bytes = WINDOW;
        while bytes > AHEAD * UNIT && memory.check(bytes).is_err() {
            bytes /= 2;
        }
        let reservation = reserve(memory, bytes, patience).await?;
        let units = u32::try_from((bytes - bytes / AHEAD) / UNIT).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(units as usize));
        Ok(Self { memory: memory.clone(), patience, reservation, permits, units })
    }

    /// Holds so many bytes, once those that the stream holds already leave room for them. What is more than the window waits
    /// until nothing else is held, and takes the rest from the budget.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for what would not fit if nobody else held anything, [`Error::Busy`] when there is no room in time.
    pub async fn hold(&self, bytes: usize) -> Result<Held> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let permit = Arc::clone(&self.permits).acquire_many_owned(units).await;
        let permit = permit.map_err(|_| Error::Failed("a window was closed".to_owned()))?;
        let beyond = match bytes.saturating_sub(self.units as usize * UNIT) {
            0 => None,
            beyond => {
                self.memory.check(self.reservation.bytes().saturating_add(beyond))?;
                Some(reserve(&self.memory, beyond, self.patience).await?)
            }
        };
        Ok(Held { _permit: Arc::new(permit), _reservation: self.reservation.clone(), _beyond: beyond })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: usize = 1024 * 1024;
    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_batch_larger_than_the_window_is_held_whole_and_given_back() {
        // An eighth is the reserve of small requests.
        let memory = Memory::new(80 * MIB);
        let window = Window::open(&memory, PATIENCE).await.unwrap();
        assert_eq!(memory.held(), 16 * MIB);
        let small = window.hold(MIB).await.unwrap();
        assert!(window.hold(40 * MIB).now_or_never().is_none(), "it waits until nothing else is held");
        drop(small);
        let large = window.hold(40 * MIB).await.unwrap();
        assert_eq!(memory.held(), 44 * MIB, "with what is read ahead");
        assert!(window.hold(1).now_or_never().is_none());
        let other = large.clone();
        drop(large);
        assert_eq!(memory.held(), 44 * MIB);
        drop(other);
        assert_eq!(memory.held(), 16 * MIB);
        assert!(matches!(window.hold(67 * MIB).await, Err(Error::TooLarge(_))));
        let last = window.hold(20 * MIB).await.unwrap();
        drop(window.closing());
        drop(window);
        assert_eq!(memory.held(), 20 * MIB, "what is on its way out");
        drop(last);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_in_time_or_the_stream_is_told() {
        let memory = Memory::new(80 * MIB);
        let window = Window::open(&memory, PATIENCE).await.unwrap();
        let others = memory.try_reserve(50 * MIB).unwrap();
        let mut waits = Box::pin(window.hold(20 * MIB));
        assert!((&mut waits).now_or_never().is_none());
        drop(others);
        let held = waits.await.unwrap();
        let _others = memory.try_reserve(45 * MIB).unwrap();
        drop(held);
        let refused = window.hold(30 * MIB).await.unwrap_err();
        assert!(matches!(&refused, Error::Busy(text) if text.contains("60 s (--memory-limit)")), "{refused}");
    }

    #[tokio::test]
    async fn a_window_is_no_larger_than_the_budget() {
        let memory = Memory::new(8 * MIB);
        let window = Window::open(&memory, PATIENCE).await.unwrap();
        assert_eq!(memory.held(), 4 * MIB);
        drop(window.hold(6 * MIB).await.unwrap());
        assert!(matches!(window.hold(7 * MIB).await, Err(Error::TooLarge(_))));
    }
}
