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
    reservation: Reservation,
    permits: Arc<Semaphore>,
    units: u32,
}

/// Bytes of a window, given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Held {
    _permit: Arc<OwnedSemaphorePermit>,
    _reservation: Reservation,
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
        let reservation = loop {
            match reserve(memory, bytes, patience).await {
                Err(Error::TooLarge(_)) if bytes > AHEAD * UNIT => bytes /= 2,
                reserved => break reserved?,
            }
        };
        let units = u32::try_from((bytes - bytes / AHEAD) / UNIT).unwrap_or(u32::MAX);
        Ok(Self { reservation, permits: Arc::new(Semaphore::new(units as usize)), units })
    }

    /// Holds so many bytes, once those that the stream holds already leave room for them. What is more than the window waits
    /// until nothing else is held, and takes the rest from the budget.
    ///
    /// # Errors
    /// As [`Reservation::extend_to`].
    pub async fn hold(&self, bytes: usize) -> Result<Held> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let permit = Arc::clone(&self.permits).acquire_many_owned(units).await;
        let permit = permit.map_err(|_| Error::Failed("a window was closed".to_owned()))?;
        if units == self.units {
            self.reservation.extend_to(bytes)?;
        }
        Ok(Held { _permit: Arc::new(permit), _reservation: self.reservation.clone() })
    }
}
