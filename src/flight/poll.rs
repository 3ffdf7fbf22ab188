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
    _memory: Reservation,
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
        let query = Query { state, expires: self.kept_until(), _memory: answer.memory() };
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
        answer.close();
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
        if queries.len() >= QUERIES {
            // Who has all there is does not ask again, or can ask anew.
            let done =
                queries.iter().find(|(_, query)| query.state.borrow().ended.is_some()).map(|(number, _)| *number);
            let done = done.ok_or_else(|| Error::Busy(format!("{QUERIES} queries are open; try again later")))?;
            queries.remove(&done);
        }
        queries.insert(number, query);
        Ok(())
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

fn unknown() -> Error {
    Error::NotFound("this query is not known (any more): begin again with the first descriptor".to_owned())
}
