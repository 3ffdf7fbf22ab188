//! `grpc.health.v1`: what probes ask. It needs no token, no model and no memory of the budget.

use std::sync::Arc;

use futures::stream::{BoxStream, unfold};
use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::names::FLIGHT;
use super::status::{excerpt, to_status};
use crate::readiness::{Phase, Readiness};
use crate::{Error, Result};

/// Watches at a time, of all clients. They cost little, but they need no token, and stay for as long as a client likes.
const WATCHES: usize = 1024;

/// Bytes of a request: the name of a service.
const REQUEST: usize = 4 * 1024;

/// Answers probes by the phase that the server is in.
pub struct Probes {
    readiness: Readiness,
    watches: Arc<Semaphore>,
}

/// The service that probes ask.
pub fn service(readiness: Readiness) -> HealthServer<Probes> {
    let watches = Arc::new(Semaphore::new(WATCHES));
    let probes = HealthServer::new(Probes { readiness, watches }).max_decoding_message_size(REQUEST);
    probes.accept_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Zstd)
}

#[tonic::async_trait]
impl Health for Probes {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        if is_known(&service) {
            return Ok(Response::new(answer(&self.readiness.phase())));
        }
        Err(to_status(&Error::NotFound(format!(
            "there is no service {:?}; ask for {FLIGHT:?}, or for \"\", the whole server",
            excerpt(&service)
        ))))
    }

    /// The status now and whenever it changes. The last one ends the stream, so that a server that drains need not wait for its
    /// watchers. As the protocol has it, an unknown service is no error here.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let permit = Arc::clone(&self.watches).try_acquire_owned().map_err(|_| {
            to_status(&Error::Busy(format!("at capacity: {WATCHES} watches are open; use Check, or try again later")))
        })?;
        let known = is_known(&request.get_ref().service);
        let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
        let statuses = phases(self.readiness.clone()).map(move |phase| {
            let _held = &permit;
            Ok(if known { answer(&phase) } else { unknown })
        });
        Ok(Response::new(statuses.boxed()))
    }
}

/// The server as a whole has no name.
fn is_known(service: &str) -> bool {
    service.is_empty() || service == FLIGHT
}

/// The phase now, and all that follow.
fn phases(readiness: Readiness) -> impl Stream<Item = Phase> + Send {
    unfold(None, move |before: Option<Phase>| {
        let readiness = readiness.clone();
        async move {
            let phase = match before {
                None => readiness.phase(),
                Some(before) => readiness.after(&before).await?,
            };
            Some((phase.clone(), Some(phase)))
        }
    })
}

fn answer(phase: &Phase) -> HealthCheckResponse {
    let status = if *phase == Phase::Serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}
