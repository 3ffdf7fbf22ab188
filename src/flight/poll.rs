//! PollFlightInfo: a folder's files are looked at one after the other, and their endpoints are there as soon as they were.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{FlightDescriptor, PollInfo};
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::AnswerMemory;
use super::catalog::Catalog;
use super::datasets::DataSet;
use super::queries::{Query, State};
use super::selection::Selection;
use super::survey::Survey;
use super::ticket::{FlightNumber, as_time, expiry, is_signed};
use crate::Result;
use crate::memory::Memory;
use crate::panics::blocking;

/// How long the first answer waits for the end, and one after it for news.
const FIRST: Duration = Duration::from_millis(100);
const NEXT: Duration = Duration::from_secs(1);

/// How long a query is kept that nobody asks for, unless tickets expire sooner.
const KEPT: Duration = Duration::from_mins(2);

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
    /// As [`Catalog::info`]; [`crate::Error::NotFound`] for a query that is not known any more, [`crate::Error::Cancelled`] for one that was
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
