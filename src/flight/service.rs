//! The calls of the Flight protocol, each handed to the file that answers it.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo,
    PutResult, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status, Streaming};
use tower::layer::layer_fn;

use super::calls::{Aside, Calls};
use super::catalog::Catalog;
use super::deadline::Deadline;
use super::handshake;
use super::prompt::Prompt;
use super::serving::{Flight, FlightLimits};
use super::status::{excerpt, to_status, unimplemented};
use super::timing::{Timed, timings};
use super::{action, health, reflection};
use crate::Error;
use crate::auth::Authenticator;
use crate::memory::{Memory, Reservation};
use crate::readiness::Readiness;

/// The gRPC services of the port. A call of Flight before the model is there is refused; who may call is asked before.
///
/// Messages and their results are taken from `memory`.
pub fn routes(
    model: Readiness,
    limits: FlightLimits,
    memory: Memory,
    authenticator: Authenticator,
    catalog: Catalog,
) -> Routes {
    let streams = Arc::new(Semaphore::new(limits.streams));
    let calls = Calls::new(Flight { model: model.clone(), limits, memory, authenticator, streams, catalog });
    let admit = {
        let model = model.clone();
        move |call: Request<()>| model.engine().map(|_| call).map_err(|error| to_status(&error))
    };
    let (reflection, old_reflection) = reflection::services();
    let longest = limits.stream_timeout;
    let routes = Routes::new(InterceptedService::new(calls, admit))
        .add_service(Prompt::new(health::service(model), limits.stall_timeout))
        // Its answers begin before a request has come.
        .add_service(reflection)
        .add_service(old_reflection);
    routes.into_axum_router().layer(layer_fn(move |service| Timed(Deadline::new(service, longest)))).into()
}

/// What holds the memory of a request, until the end of its answer.
fn held<T>(request: &Request<T>) -> Result<Reservation, Status> {
    let memory = request.extensions().get::<Reservation>().cloned();
    memory.ok_or_else(|| came_here("a request without its memory"))
}

/// What the router is there to keep from coming.
fn came_here(what: &str) -> Status {
    to_status(&Error::Failed(format!("met a bug of textflight: {what} came here")))
}

fn unknown_action(name: &str) -> Status {
    unimplemented(&format!("there is no action {:?}; actions: {}", excerpt(name), action::names()))
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = handshake::Answers;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(came_here("an exchange"))
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        handshake::shake(request, &self.authenticator, self.limits.stall_timeout).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let flights = self.list(&request.into_inner().expression);
        flights.map(Response::new).map_err(|error| to_status(&error))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let memory = held(&request)?;
        self.info(request.into_inner(), &memory).await.map(Response::new).map_err(|error| to_status(&error))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let memory = held(&request)?;
        self.poll(request.into_inner(), &memory).await.map(Response::new).map_err(|error| to_status(&error))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.schema(request.into_inner()).await.map(Response::new).map_err(|error| to_status(&error))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let (memory, timings) = (held(&request)?, timings(request.extensions()));
        let reply = self.get(request.into_inner().ticket, &memory, timings).await.map_err(|error| to_status(&error))?;
        let mut response = Response::new(stream::empty().boxed());
        response.extensions_mut().insert(Aside::new(reply));
        Ok(response)
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(came_here("an upload"))
    }

    async fn do_action(&self, action: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let memory = held(&action)?;
        let Action { r#type: name, body } = action.into_inner();
        let offer = action::find(&name).ok_or_else(|| unknown_action(&name))?;
        let bodies = offer.run(self, body, memory).await.map_err(|error| to_status(&error))?;
        let results = bodies.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(stream::iter(results).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(stream::iter(action::list().map(Ok)).boxed()))
    }
}
