//! The calls about data sets: what is listed, and a ticket's rows as a reply.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, PollInfo, SchemaResult};
use bytes::Bytes;
use futures::stream;
use futures::{Stream, StreamExt};
use tonic::Status;
use tracing::info_span;

use super::get::{Get, GetLimits, Message};
use super::reply::Reply;
use super::service::{Flight, FlightLimits};
use super::status::to_status;
use crate::engine::Timings;
use crate::{Error, Result};

impl Flight {
    /// The names of the model's classes.
    fn classes(&self) -> Result<Vec<String>> {
        Ok(self.model.engine()?.model().labels.clone())
    }

    /// All about what a descriptor selects.
    pub async fn info(&self, descriptor: FlightDescriptor) -> Result<FlightInfo> {
        self.catalog.info(descriptor, self.classes()?).await
    }

    /// The schema of what a descriptor selects.
    pub async fn schema(&self, descriptor: FlightDescriptor) -> Result<SchemaResult> {
        self.catalog.schema(descriptor, self.classes()?).await
    }

    /// How far what a descriptor selects was looked at.
    pub async fn poll(&self, descriptor: FlightDescriptor) -> Result<PollInfo> {
        self.catalog.poll(descriptor, self.classes()?).await
    }

    /// The data sets whose names begin with `prefix`.
    pub fn list(&self, prefix: &[u8]) -> Result<<Self as FlightService>::ListFlightsStream> {
        let prefix = str::from_utf8(prefix).map_err(|_| {
            Error::Invalid(
                "the criteria are not UTF-8: they are the beginning of the names to list, or nothing".to_owned(),
            )
        })?;
        let (sets, catalog, classes) = (self.catalog.datasets.beginning(prefix), self.catalog.clone(), self.classes()?);
        let flights = stream::iter(sets).then(move |set| {
            let (catalog, classes) = (catalog.clone(), classes.clone());
            async move { catalog.listed(set, classes).await.map_err(|error| to_status(&error)) }
        });
        Ok(flights.boxed())
    }

    /// Begins to stream the rows of a ticket.
    pub async fn get(&self, ticket: Bytes, timings: Arc<Timings>) -> Result<<Self as FlightService>::DoGetStream> {
        let engine = self.model.engine()?.timed(timings);
        let permit = self.stream()?;
        let get = Get::open(&self.catalog, ticket, self.classes()?).await?;
        let FlightLimits { in_flight, stall_timeout, .. } = self.limits;
        let limits = GetLimits { in_flight, memory: self.memory.clone(), patience: stall_timeout };
        let (cancelled, flight) = (Arc::clone(&self.catalog.flights.cancelled), get.flight);
        let work = |reply| async move {
            let _permit = permit;
            tokio::select! {
                done = get.run(engine, limits, reply) => done,
                error = cancelled.of(flight) => Err(error),
            }
        };
        let reply = info_span!("get").in_scope(|| Reply::spawn(stall_timeout, work));
        Ok(held_while_sent(reply).boxed())
    }
}

/// The messages of a reply. Each keeps its memory until the next is asked for: tonic has then written it.
fn held_while_sent(reply: Reply<Message>) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    stream::unfold((reply, None), async |(mut reply, sent)| {
        drop(sent);
        match reply.next().await? {
            Ok((message, held)) => Some((Ok(message), (reply, held))),
            Err(status) => Some((Err(status), (reply, None))),
        }
    })
}
