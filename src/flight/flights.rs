//! The calls about data sets and functions: what is listed, and a ticket's rows as a reply.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo, SchemaResult};
use bytes::Bytes;
use futures::stream;
use futures::{Stream, StreamExt, TryFutureExt};
use prost::Message;
use tonic::Status;
use tracing::info_span;

use super::answer::AnswerMemory;
use super::functions;
use super::get::{Get, GetLimits};
use super::reply::Reply;
use super::serving::{Flight, FlightLimits};
use super::status::to_status;
use crate::engine::Timings;
use crate::memory::Reservation;
use crate::udf::Function;
use crate::{Error, Result};

/// How often the bytes of a ticket are there while its rows are streamed: as what it says.
const KEPT_COPIES: usize = 2;

impl Flight {
    /// The names of the model's classes.
    fn classes(&self) -> Result<Vec<String>> {
        Ok(self.model.engine()?.model().labels.clone())
    }

    /// All about what a descriptor selects. The answer's memory is taken beside that of its request.
    pub async fn info(&self, descriptor: FlightDescriptor, request: &Reservation) -> Result<FlightInfo> {
        if let Some(function) = functions::named(&descriptor)? {
            return functions::info(function);
        }
        let answer = AnswerMemory::to(request, descriptor.encoded_len());
        let found = self.catalog.info(descriptor.clone(), self.classes()?, answer).await;
        let (info, _) = found.map_err(|error| self.or_function(error, &descriptor))?;
        Ok(info)
    }

    /// The schema of what a descriptor selects.
    pub async fn schema(&self, descriptor: FlightDescriptor) -> Result<SchemaResult> {
        if let Some(function) = functions::named(&descriptor)? {
            return functions::schema(function);
        }
        let found = self.catalog.schema(descriptor.clone(), self.classes()?).await;
        found.map_err(|error| self.or_function(error, &descriptor))
    }

    fn or_function(&self, error: Error, descriptor: &FlightDescriptor) -> Error {
        functions::or_function(error, descriptor, &self.catalog.datasets)
    }

    /// How far what a descriptor selects was looked at. The answer's memory is taken beside that of its request.
    pub async fn poll(&self, descriptor: FlightDescriptor, request: &Reservation) -> Result<PollInfo> {
        if let Some(function) = functions::named(&descriptor)? {
            return functions::poll(function);
        }
        let answer = AnswerMemory::to(request, descriptor.encoded_len());
        let found = self.catalog.poll(descriptor.clone(), self.classes()?, &self.memory, answer).await;
        found.map_err(|error| self.or_function(error, &descriptor))
    }

    /// The data sets whose names begin with `prefix`, and behind them the functions.
    pub fn list(&self, prefix: &[u8]) -> Result<<Self as FlightService>::ListFlightsStream> {
        let prefix = str::from_utf8(prefix).map_err(|_| {
            Error::Invalid(
                "the criteria are not UTF-8: they are the beginning of the names to list, or nothing".to_owned(),
            )
        })?;
        let (sets, catalog, classes) = (self.catalog.datasets.beginning(prefix), self.catalog.clone(), self.classes()?);
        let memory = self.memory.clone();
        let listed = |function| functions::info(function).map(|info| (info, None)).map_err(|error| to_status(&error));
        let functions: Vec<_> = Function::beginning(prefix).map(listed).collect();
        let flights = stream::iter(sets).then(move |set| {
            let (catalog, classes, memory) = (catalog.clone(), classes.clone(), memory.clone());
            async move {
                let answer = AnswerMemory::kept(&memory)?;
                catalog.listed(set, classes, answer).await
            }
            .map_err(|error| to_status(&error))
        });
        Ok(held_while_sent(flights.chain(stream::iter(functions)).boxed()).boxed())
    }

    /// Begins to stream the rows of a ticket, which came in `request`.
    pub async fn get(&self, ticket: Bytes, request: &Reservation, timings: Arc<Timings>) -> Result<Reply<Bytes>> {
        let engine = self.model.engine()?.timed(timings);
        let permit = self.stream()?;
        let kept = KEPT_COPIES * ticket.len();
        let get = Get::open(&self.catalog, ticket, self.classes()?).await?;
        request.shrink_to(kept);
        let request = request.clone();
        let FlightLimits { in_flight, stall_timeout, .. } = self.limits;
        let limits = GetLimits { in_flight, memory: self.memory.clone(), patience: stall_timeout };
        let (cancelled, flight) = (Arc::clone(&self.catalog.flights.cancelled), get.flight);
        let work = |reply| async move {
            let _held = (permit, request);
            tokio::select! {
                done = get.run(engine, limits, reply) => done,
                error = cancelled.of(flight) => Err(error),
            }
        };
        Ok(info_span!("get").in_scope(|| Reply::spawn(stall_timeout, work)))
    }
}

/// Messages that keep their memory until the next is asked for: tonic has then written them.
fn held_while_sent<T, M>(
    messages: impl Stream<Item = Result<(T, Option<M>), Status>> + Send + Unpin,
) -> impl Stream<Item = Result<T, Status>> + Send
where
    T: Send,
    M: Send,
{
    stream::unfold((messages, None), async |(mut messages, sent)| {
        drop(sent);
        match messages.next().await? {
            Ok((message, held)) => Some((Ok(message), (messages, held))),
            Err(status) => Some((Err(status), (messages, None))),
        }
    })
}
