//! Flights that clients gave up: their tickets are good for nothing any more, and what streams out of them ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::ticket::now;
use crate::{Error, Result};

/// Flights that are remembered as cancelled at a time, until their tickets have expired.
const FLIGHTS: usize = 10_000;

/// The flights that were cancelled, with the time when their tickets expire.
#[derive(Debug, Default)]
pub struct Cancelled {
    flights: Mutex<BTreeMap<u64, u64>>,
    changed: watch::Sender<()>,
}

impl Cancelled {
    /// From now on this flight is cancelled, for as long as tickets of it may be good.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many are.
    pub fn cancel(&self, flight: u64, expires: u64) -> Result<()> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, expires| *expires > now());
        if flights.len() >= FLIGHTS && !flights.contains_key(&flight) {
            return Err(Error::Busy(format!("{FLIGHTS} flights are cancelled already; try again later")));
        }
        flights.insert(flight, expires);
        drop(flights);
        self.changed.send_replace(());
        Ok(())
    }

    /// Refuses a flight that was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`]
    pub fn check(&self, flight: u64) -> Result<()> {
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.contains_key(&flight) {
            return Err(Error::Cancelled("the flight was cancelled: get a new FlightInfo".to_owned()));
        }
        Ok(())
    }

    /// Ends when this flight is cancelled, with the error that says so.
    pub async fn of(&self, flight: u64) -> Error {
        let mut changed = self.changed.subscribe();
        loop {
            if let Err(error) = self.check(flight) {
                return error;
            }
            if changed.changed().await.is_err() {
                // Nobody is left who could cancel it.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_told() {
        let cancelled = Cancelled::default();
        let mut one = Box::pin(cancelled.of(1));
        assert!((&mut one).now_or_never().is_none());
        cancelled.cancel(2, u64::MAX).unwrap();
        assert!((&mut one).now_or_never().is_none() && cancelled.check(1).is_ok());
        cancelled.cancel(1, u64::MAX).unwrap();
        assert!(matches!(one.await, Error::Cancelled(_)));
        assert!(cancelled.check(1).is_err() && cancelled.check(2).is_err());
    }

    #[test]
    fn what_has_expired_is_forgotten() {
        let cancelled = Cancelled::default();
        for flight in 0..FLIGHTS as u64 {
            cancelled.cancel(flight, if flight == 7 { 0 } else { u64::MAX }).unwrap();
        }
        cancelled.cancel(FLIGHTS as u64, u64::MAX).unwrap();
        assert!(matches!(cancelled.cancel(FLIGHTS as u64 + 1, u64::MAX), Err(Error::Busy(_))));
        cancelled.cancel(1, u64::MAX).unwrap();
    }
}
