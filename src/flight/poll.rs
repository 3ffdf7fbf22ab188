//! PollFlightInfo: a folder's files are looked at one after the other, and their endpoints are there as soon as they were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::answer::AnswerMemory;
use super::catalog::Catalog;
use super::datasets::DataSet;
use super::selection::Selection;
use super::survey::Survey;
use super::ticket::{FlightNumber, as_time, expiry, is_signed, now};
use crate::memory::{Memory, Reservation};
use crate::panics::blocking;
use crate::{Error, Result};

/// Queries that are looked at, or were and can be asked for, at a time.
const QUERIES: usize = 64;

/// How long the first answer waits for the end, and one after it for news.
const FIRST: Duration = Duration::from_millis(100);
const NEXT: Duration = Duration::from_secs(1);

/// How long a query is kept that nobody asks for, unless tickets expire sooner.
const KEPT: Duration = Duration::from_mins(2);

/// Bytes that those may take which have ended: the last of them.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// What clients poll.
#[derive(Debug, Default)]
pub struct Queries(Mutex<BTreeMap<u64, Query>>);

/// One of them.
#[derive(Debug)]
struct Query {
    state: watch::Receiver<State>,
    /// Put off whenever somebody asks.
    expires: u64,
    /// What its state takes.
    memory: Reservation,
}

/// How far it is.
#[derive(Debug, Clone, Default)]
struct State {
    /// All that is known. Endpoints are appended, and stay.
    info: Option<FlightInfo>,
    seen: usize,
    files: usize,
    ended: Option<Result<()>>,
}

/// What a descriptor of ours says to those who poll again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Handle {
    query: u64,
}

/// What a client begins to poll.
struct Begun {
    flight: u64,
    descriptor: FlightDescriptor,
    selection: Selection,
    set: Arc<DataSet>,
    classes: Vec<String>,
    answer: AnswerMemory,
}

impl Catalog {
    /// PollFlightInfo: begins to look at a selection, or says how far that is. What the query keeps comes out of `memory`, the answer
    /// beside its request.
    ///
    /// # Errors
    /// As [`Catalog::info`]; [`Error::NotFound`] for a query that is not known any more, [`Error::Cancelled`] for one that was
    /// cancelled.
    pub async fn poll(
        &self,
        descriptor: FlightDescriptor,
        classes: Vec<String>,
        memory: &Memory,
        answer: AnswerMemory,
    ) -> Result<PollInfo> {
        if is_signed(&descriptor.cmd) {
            let handle: Handle = self.key.read(&descriptor.cmd)?;
            self.flights.cancelled.check(handle.query)?;
            return self.answer(handle, NEXT, answer).await;
        }
        let handle = self.begin(descriptor, classes, memory)?;
        self.answer(handle, FIRST, answer).await
    }

    fn begin(&self, descriptor: FlightDescriptor, classes: Vec<String>, memory: &Memory) -> Result<Handle> {
        let selection = Selection::read(&descriptor)?;
        let set = self.datasets.get(&selection.data)?;
        let FlightNumber { flight } = FlightNumber::random()?;
        let (sender, state) = watch::channel(State::default());
        let answer = AnswerMemory::kept(memory)?;
        let query = Query { state, expires: self.kept_until(), memory: answer.memory() };
        self.flights.queries.insert(flight, query)?;
        let begun = Begun { flight, descriptor, selection, set, classes, answer };
        let catalog = self.clone();
        tokio::spawn(async move {
            let (looking, told, memory) = (catalog.clone(), sender.clone(), begun.answer.memory());
            let looked = blocking(move || looking.look(begun, &told)).await;
            sender.send_modify(|state| {
                if looked.is_err() {
                    state.info = None;
                    memory.shrink_to(0);
                }
                state.ended = Some(looked);
            });
            // What is kept goes with the query.
            drop((sender, memory));
            catalog.flights.queries.drop_ended();
            catalog.flights.queries.forget(flight).await;
        });
        Ok(Handle { query: flight })
    }

    /// Until when a query is kept that nobody asks for from now on.
    fn kept_until(&self) -> u64 {
        expiry(self.lifetime.min(KEPT))
    }

    /// Looks at all files, as long as somebody may ask.
    fn look(&self, begun: Begun, state: &watch::Sender<State>) -> Result<()> {
        let Begun { flight, descriptor, selection, set, classes, mut answer } = begun;
        let mut survey = Survey::begin(set, selection, &classes)?;
        let begun = self.flight(&survey, flight, descriptor, &mut answer)?;
        let begun = begun.with_total_records(-1).with_total_bytes(-1);
        state.send_modify(|state| (state.info, state.files) = (Some(begun), survey.files()));
        let mut more = true;
        while more {
            self.flights.cancelled.check(flight)?;
            self.flights.queries.expires(flight)?;
            more = survey.step()?;
            let endpoints = self.new_endpoints(&mut survey, flight, !more, &mut answer)?;
            state.send_modify(|state| {
                state.seen += usize::from(more);
                if let Some(info) = &mut state.info {
                    info.endpoint.extend(endpoints);
                }
            });
        }
        let (rows, bytes) = survey.totals();
        state.send_modify(|state| {
            if let Some(info) = &mut state.info {
                (info.total_records, info.total_bytes) = (rows, bytes);
            }
        });
        let memory = answer.close();
        // Nobody encodes what is kept.
        memory.shrink_to(memory.bytes() / 2);
        Ok(())
    }

    async fn answer(&self, handle: Handle, patience: Duration, mut answer: AnswerMemory) -> Result<PollInfo> {
        let expires = self.kept_until();
        let mut state = self.flights.queries.ask(handle.query, expires)?;
        let seen = state.borrow_and_update().seen;
        let is_first = patience == FIRST;
        let news = state.wait_for(|state| state.ended.is_some() || !is_first && state.seen > seen);
        // Without news the answer is how far it was.
        let _ = timeout(patience, news).await;
        let State { info, seen, files, ended } = {
            let state = state.borrow();
            answer.take(state.info.as_ref().map_or(0, Message::encoded_len))?;
            state.clone()
        };
        let mut poll = PollInfo { info, progress: Some(seen as f64 / files.max(1) as f64), ..PollInfo::default() };
        match ended {
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => poll.progress = Some(1.0),
            None => poll.flight_descriptor = Some(FlightDescriptor::new_cmd(self.key.sign(&handle)?)),
        }
        Ok(poll.with_expiration_time(as_time(expires).into()))
    }
}

impl Queries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Query>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, number: u64, query: Query) -> Result<()> {
        let mut queries = self.lock();
        if queries.len() >= QUERIES && !remove_ended(&mut queries) {
            return Err(Error::Busy(format!("{QUERIES} queries are open; try again later")));
        }
        queries.insert(number, query);
        Ok(())
    }

    /// Forgets some that have ended, if all that have take too much.
    fn drop_ended(&self) {
        let mut queries = self.lock();
        let is_ended = |query: &&Query| query.state.borrow().ended.is_some();
        while queries.values().filter(is_ended).map(|query| query.memory.bytes()).sum::<usize>() > KEPT_BYTES {
            remove_ended(&mut queries);
        }
    }

    /// The state of a query, which is kept until then, at least.
    fn ask(&self, number: u64, expires: u64) -> Result<watch::Receiver<State>> {
        self.expires(number)?;
        let mut queries = self.lock();
        let query = queries.get_mut(&number).ok_or_else(unknown)?;
        query.expires = query.expires.max(expires);
        Ok(query.state.clone())
    }

    /// When it expires, if somebody may ask for it.
    fn expires(&self, number: u64) -> Result<u64> {
        let expires = self.lock().get(&number).map(|query| query.expires);
        expires.filter(|expires| *expires > now()).ok_or_else(unknown)
    }

    /// Waits until nobody may ask for a query any more, and forgets it.
    async fn forget(&self, number: u64) {
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
