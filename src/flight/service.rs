//! The calls of the Flight protocol. DoExchange is the one that this server answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::Stream;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, info_span, warn};

use super::exchange::Exchange;
use super::status::to_status;
use crate::engine::Engine;
use crate::stream::InFlight;
use crate::{Error, Result, token};

/// What bounds the Flight service.
#[derive(Debug, Clone, Copy)]
pub struct FlightLimits {
    /// Bytes of one message, and so of one record batch.
    pub message_bytes: usize,
    /// Exchanges at a time.
    pub exchanges: usize,
    /// What one exchange may have in the engine at a time.
    pub in_flight: InFlight,
    /// How long a client may leave its results unread.
    pub stall_timeout: Duration,
}

/// The service, ready for tonic's router. With a token, calls must carry it as `authorization: Bearer`.
pub fn service(engine: Engine, limits: FlightLimits, token: Option<String>) -> FlightServiceServer<impl FlightService> {
    let service = Service { engine, limits, token, exchanges: Arc::new(Semaphore::new(limits.exchanges)) };
    FlightServiceServer::new(service).max_decoding_message_size(limits.message_bytes)
}

struct Service {
    engine: Engine,
    limits: FlightLimits,
    token: Option<String>,
    exchanges: Arc<Semaphore>,
}

/// Messages that wait for the connection: enough to keep it busy while the next batch is encoded.
const REPLY_MESSAGES: usize = 2;

/// Batches of one exchange: the task that makes them ends with the stream.
struct ReplyStream {
    messages: mpsc::Receiver<Result<FlightData, Status>>,
    /// Why the messages ended early. Beside the channel, which a client that does not read keeps full: a stream that just ended would
    /// look complete to it.
    failure: oneshot::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Stream for ReplyStream {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = std::task::ready!(self.messages.poll_recv(context));
        Poll::Ready(message.or_else(|| self.failure.try_recv().ok().map(Err)))
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    fn authorize(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some(expected) = &self.token else { return Ok(()) };
        let header = metadata.get("authorization").map(MetadataValue::as_bytes);
        if header.is_some_and(|header| token::is_bearer(header, expected)) {
            return Ok(());
        }
        Err(Status::unauthenticated("this server asks for its token: send the header `authorization: Bearer TOKEN`"))
    }

    fn exchange(&self, inbound: Streaming<FlightData>) -> Result<ReplyStream> {
        let permit = Arc::clone(&self.exchanges).try_acquire_owned().map_err(|_| {
            Error::Busy(format!("at capacity: {} exchanges are open; try again later", self.limits.exchanges))
        })?;
        let (reply, messages) = mpsc::channel(REPLY_MESSAGES);
        let exchange = Exchange {
            engine: self.engine.clone(),
            in_flight: self.limits.in_flight,
            stall_timeout: self.limits.stall_timeout,
            reply: reply.clone(),
        };
        let (failed, failure) = oneshot::channel();
        let task = async move {
            let _permit = permit;
            // The messages must not end before the failure can be read.
            let _reply = reply;
            // In a task of its own, so that a panic becomes an error: a stream that just ends would look complete.
            let mut run = AbortOnDrop(tokio::spawn(exchange.run(inbound).in_current_span()));
            let error = match (&mut run.0).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => Error::Failed(format!("the exchange failed: {panic}")),
            };
            warn!(%error, "an exchange failed");
            // A client that never reads again is never told.
            let _ = failed.send(to_status(&error));
        };
        Ok(ReplyStream { messages, failure, task: tokio::spawn(task.instrument(info_span!("exchange"))) })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn unimplemented<T>(call: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("{call} is not offered; score record batches with DoExchange")))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.authorize(request.metadata())?;
        let stream = self.exchange(request.into_inner()).map_err(|error| to_status(&error))?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unimplemented("Handshake")
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        unimplemented("ListFlights")
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        unimplemented("GetFlightInfo")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unimplemented("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unimplemented("GetSchema")
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        unimplemented("DoGet")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unimplemented("DoPut")
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unimplemented("DoAction")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unimplemented("ListActions")
    }
}
