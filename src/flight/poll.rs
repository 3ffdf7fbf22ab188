//! PollFlightInfo: a folder's files are looked at one after the other, and their endpoints are there as soon as they were.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::catalog::Catalog;
use super::selection::Selection;
use super::survey::Survey;
use super::ticket::{FlightNumber, as_time, is_signed, now};
use crate::{Error, Result};

/// Queries that are looked at, or were and can be asked for, at a time.
const QUERIES: usize = 64;

/// How long the first answer waits for the end, and one after it for news.
const FIRST: Duration = Duration::from_millis(100);
const NEXT: Duration = Duration::from_secs(1);

/// What clients poll.
#[derive(Debug, Default)]
pub struct Queries(Mutex<BTreeMap<u64, Query>>);

/// One of them.
#[derive(Debug, Clone)]
struct Query {
    state: watch::Receiver<State>,
    expires: u64,
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
    expires: u64,
}

impl Catalog {
    /// PollFlightInfo: begins to look at a selection, or says how far that is.
    ///
    /// # Errors
    /// As [`Catalog::info`]; [`Error::NotFound`] for a query that is not known any more, [`Error::Cancelled`] for one that was
    /// cancelled.
    pub async fn poll(&self, descriptor: FlightDescriptor, classes: Vec<String>) -> Result<PollInfo> {
        if is_signed(&descriptor.cmd) {
            let handle: Handle = self.key.read(&descriptor.cmd)?;
            self.flights.cancelled.check(handle.query)?;
            return self.answer(handle, NEXT).await;
        }
        self.answer(self.begin(descriptor, classes)?, FIRST).await
    }

    fn begin(&self, descriptor: FlightDescriptor, classes: Vec<String>) -> Result<Handle> {
        let selection = Selection::read(&descriptor)?;
        let set = self.datasets.get(&selection.data)?;
        let FlightNumber { flight } = FlightNumber::random()?;
        let expires = self.expiry();
        let (sender, state) = watch::channel(State::default());
        self.flights.queries.insert(flight, Query { state, expires })?;
        let catalog = self.clone();
        spawn_blocking(move || {
            let begun = Survey::begin(set, selection, &classes);
            let looked = begun.and_then(|survey| catalog.look(survey, flight, descriptor, &sender));
            sender.send_modify(|state| state.ended = Some(looked));
        });
        Ok(Handle { query: flight, expires })
    }

    /// Looks at all files, as long as somebody may ask.
    fn look(
        &self,
        mut survey: Survey,
        flight: u64,
        descriptor: FlightDescriptor,
        state: &watch::Sender<State>,
    ) -> Result<()> {
        let begun =
            self.flight(&survey, flight)?.with_descriptor(descriptor).with_total_records(-1).with_total_bytes(-1);
        state.send_modify(|state| (state.info, state.files) = (Some(begun), survey.files()));
        let mut more = true;
        while more {
            self.flights.cancelled.check(flight)?;
            more = survey.step()?;
            let endpoints = self.new_endpoints(&mut survey, flight, !more)?;
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
        Ok(())
    }

    async fn answer(&self, handle: Handle, patience: Duration) -> Result<PollInfo> {
        let mut state = self.flights.queries.get(handle.query)?;
        let seen = state.borrow_and_update().seen;
        let is_first = patience == FIRST;
        let news = state.wait_for(|state| state.ended.is_some() || !is_first && state.seen > seen);
        // Without news the answer is how far it was.
        let _ = timeout(patience, news).await;
        let State { info, seen, files, ended } = state.borrow().clone();
        let mut poll = PollInfo { info, progress: Some(seen as f64 / files.max(1) as f64), ..PollInfo::default() };
        match ended {
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => poll.progress = Some(1.0),
            None => poll.flight_descriptor = Some(FlightDescriptor::new_cmd(self.key.sign(&handle)?)),
        }
        Ok(poll.with_expiration_time(as_time(handle.expires).into()))
    }
}

impl Queries {
    fn insert(&self, number: u64, query: Query) -> Result<()> {
        let mut queries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queries.retain(|_, query| query.expires > now());
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

    fn get(&self, number: u64) -> Result<watch::Receiver<State>> {
        let queries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let query = queries.get(&number).filter(|query| query.expires > now());
        query.map(|query| query.state.clone()).ok_or_else(|| {
            Error::NotFound("this query is not known (any more): begin again with the first descriptor".to_owned())
        })
    }

    /// Forgets a query, if it is one.
    pub fn remove(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}
