//! The flights that a server remembers: those that were given up, and the queries that clients poll, with how far they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::FlightInfo;
use tokio::sync::watch;
use tokio::time::sleep;

use super::cancelled::Cancelled;
use super::ticket::now;
use crate::memory::Reservation;
use crate::{Error, Result};

/// Queries that are looked at, or were and can be asked for, at a time.
const QUERIES: usize = 64;

/// Bytes that those may take which have ended: the last of them.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// The flights that were made here. Cheap to clone, and all clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Flights {
    /// Those that were given up.
    pub cancelled: Arc<Cancelled>,
    /// Those that are polled.
    pub queries: Arc<Queries>,
}

/// What clients poll.
#[derive(Debug, Default)]
pub struct Queries(Mutex<BTreeMap<u64, Query>>);

/// One of them.
#[derive(Debug)]
pub struct Query {
    /// How far it is.
    pub state: watch::Receiver<State>,
    /// Put off whenever somebody asks.
    pub expires: u64,
    /// What its state takes.
    pub memory: Reservation,
}

/// How far a query is.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// All that is known. Endpoints are appended, and stay.
    pub info: Option<FlightInfo>,
    /// Files that were looked at.
    pub seen: usize,
    /// All files.
    pub files: usize,
    /// How it ended, once it has.
    pub ended: Option<Result<()>>,
}

impl Queries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Query>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a query in.
    ///
    /// # Errors
    /// [`Error::Busy`] where as many are open as may be.
    pub fn insert(&self, number: u64, query: Query) -> Result<()> {
        let mut queries = self.lock();
        if queries.len() >= QUERIES && !remove_ended(&mut queries) {
            return Err(Error::Busy(format!("{QUERIES} queries are open; try again later")));
        }
        queries.insert(number, query);
        Ok(())
    }

    /// Forgets some that have ended, if all that have take too much.
    pub fn drop_ended(&self) {
        let mut queries = self.lock();
        let is_ended = |query: &&Query| query.state.borrow().ended.is_some();
        while queries.values().filter(is_ended).map(|query| query.memory.bytes()).sum::<usize>() > KEPT_BYTES {
            remove_ended(&mut queries);
        }
    }

    /// The state of a query, which is kept until then, at least.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what is none any more.
    pub fn ask(&self, number: u64, expires: u64) -> Result<watch::Receiver<State>> {
        self.expires(number)?;
        let mut queries = self.lock();
        let query = queries.get_mut(&number).ok_or_else(unknown)?;
        query.expires = query.expires.max(expires);
        Ok(query.state.clone())
    }

    /// When it expires, if somebody may ask for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what is none any more.
    pub fn expires(&self, number: u64) -> Result<u64> {
        let expires = self.lock().get(&number).map(|query| query.expires);
        expires.filter(|expires| *expires > now()).ok_or_else(unknown)
    }

    /// Waits until nobody may ask for a query any more, and forgets it.
    pub async fn forget(&self, number: u64) {
        while let Ok(expires) = self.expires(number) {
            sleep(Duration::from_millis(expires.saturating_sub(now()))).await;
        }
        self.remove(number);
    }

    /// Forgets a query, if it is one.
    pub fn remove(&self, number: u64) {
        self.lock().remove(&number);
    }
}

/// Forgets the query that ended and was not asked for the longest, if there is one: who has all there is does not ask again, or
/// can ask anew.
fn remove_ended(queries: &mut BTreeMap<u64, Query>) -> bool {
    let ended = queries.iter().filter(|(_, query)| query.state.borrow().ended.is_some());
    let oldest = ended.min_by_key(|(_, query)| query.expires).map(|(number, _)| *number);
    oldest.is_some_and(|number| queries.remove(&number).is_some())
}

fn unknown() -> Error {
    Error::NotFound("this query is not known (any more): begin again with the first descriptor".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    const MIB: usize = 1024 * 1024;

    fn query(memory: &Memory, bytes: usize, expires: u64, ended: Option<Result<()>>) -> Query {
        let (_, state) = watch::channel(State { ended, ..State::default() });
        Query { state, expires, memory: memory.try_reserve(bytes).unwrap() }
    }

    #[tokio::test]
    async fn a_query_is_known_for_as_long_as_somebody_asks() {
        let (queries, memory) = (Queries::default(), Memory::default());
        queries.insert(1, query(&memory, 1024, now() + 60_000, None)).unwrap();
        queries.insert(2, query(&memory, 1024, now(), None)).unwrap();
        assert!(queries.expires(1).is_ok() && queries.ask(1, 0).is_ok());
        assert!(matches!(queries.expires(2), Err(Error::NotFound(_))), "its walk ends");
        assert!(queries.ask(2, u64::MAX).is_err(), "it is too late");
        queries.forget(2).await;
        queries.ask(1, u64::MAX).unwrap();
        assert_eq!(queries.expires(1).unwrap(), u64::MAX);
        queries.remove(1);
        queries.forget(1).await;
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn those_that_ended_give_way() {
        let (queries, memory) = (Queries::default(), Memory::default());
        for number in 0..QUERIES as u64 {
            queries.insert(number, query(&memory, MIB, u64::MAX - number, None)).unwrap();
        }
        let one_more = || query(&memory, 10 * MIB, u64::MAX - 100, Some(Ok(())));
        assert!(matches!(queries.insert(100, one_more()), Err(Error::Busy(_))));
        for number in 0..4 {
            queries.remove(number);
            queries.insert(100 + number, one_more()).unwrap();
        }
        queries.drop_ended();
        assert_eq!(queries.lock().len(), QUERIES - 1, "three of 10 MiB are kept, and all that go on");
        queries.insert(200, one_more()).unwrap();
        queries.insert(201, one_more()).unwrap();
        assert_eq!(queries.lock().len(), QUERIES);
        assert!(queries.expires(201).is_ok() && queries.expires(5).is_ok());
    }
}
