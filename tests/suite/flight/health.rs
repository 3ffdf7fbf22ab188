//! What probes are told.

use std::time::Duration;

use textflight::auth::Authenticator;
use textflight::flight::routes;
use textflight::memory::Memory;
use textflight::readiness::{Readiness, ServedModel};
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::client::{LIMITS, batch, catalog, channel, connect, failure, messages};
use crate::engines::{Fake, VERSION};

const FLIGHT: &str = "arrow.flight.protocol.FlightService";

/// A probe of a server.
async fn probe(readiness: &Readiness) -> HealthClient<Channel> {
    let anybody = Authenticator::anonymous();
    HealthClient::new(channel(routes(readiness.clone(), LIMITS, Memory::new(0), anybody, catalog())).await)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn check(client: &mut HealthClient<Channel>, expected: ServingStatus) {
    for service in ["", FLIGHT] {
        let answer = client.check(about(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), expected, "{service:?}");
    }
}

/// The next status; `None` at the end.
async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = tokio::time::timeout(Duration::from_secs(20), watch.message()).await.expect("nothing comes");
    message.unwrap().map(|answer| answer.status())
}

fn model() -> ServedModel {
    ServedModel::new(Fake::engine(8), VERSION.to_owned())
}

#[tokio::test]
async fn probes_see_the_model_come_and_the_server_go() {
    let readiness = Readiness::loading();
    let mut client = probe(&readiness).await;
    let mut watches = Vec::new();
    for service in ["", FLIGHT] {
        watches.push(client.watch(about(service)).await.unwrap().into_inner());
    }
    check(&mut client, ServingStatus::NotServing).await;
    let mut all = async |expected| {
        for watch in &mut watches {
            assert_eq!(next(watch).await, expected);
        }
    };
    all(Some(ServingStatus::NotServing)).await;
    readiness.serve(model());
    all(Some(ServingStatus::Serving)).await;
    check(&mut client, ServingStatus::Serving).await;
    readiness.drain();
    all(Some(ServingStatus::NotServing)).await;
    all(None).await;
    check(&mut client, ServingStatus::NotServing).await;
}

#[tokio::test]
async fn a_dead_engine_does_not_serve() {
    let readiness = Readiness::loading();
    readiness.serve(model());
    let mut client = probe(&readiness).await;
    let mut watch = client.watch(about(FLIGHT)).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    let engine = readiness.engine().unwrap().clone();
    let mut flight = connect(engine, LIMITS).await;
    failure(&mut flight, messages("", vec![batch(&[Some("panic")])])).await;
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watch).await, None);
    check(&mut client, ServingStatus::NotServing).await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_not_found_and_can_be_watched() {
    let readiness = Readiness::loading();
    readiness.serve(model());
    let mut client = probe(&readiness).await;
    for service in ["grpc.health.v1.Health", "nonsense", "arrow.flight.protocol.flightservice"] {
        let status = client.check(about(service)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(service) && status.message().contains(FLIGHT), "{status:?}");
    }
    let long = client.check(about(&"x".repeat(100_000))).await.unwrap_err();
    assert_eq!(long.code(), Code::OutOfRange, "{long:?}");
    let mut watch = client.watch(about("nonsense")).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::ServiceUnknown));
    readiness.drain();
    next(&mut watch).await;
    assert_eq!(next(&mut watch).await, None);
}

#[tokio::test]
async fn watches_are_bounded_and_checks_go_on() {
    let readiness = Readiness::loading();
    let mut client = probe(&readiness).await;
    let mut watches = Vec::new();
    let refused = loop {
        match client.watch(about("")).await {
            Ok(watch) => watches.push(watch),
            Err(status) => break status,
        }
    };
    assert_eq!((watches.len(), refused.code()), (1024, Code::Unavailable));
    assert!(refused.message().contains("1024 watches"), "{refused:?}");
    check(&mut client, ServingStatus::NotServing).await;
    drop(watches);
    crate::cog::client::wait_until("a place", async || client.watch(about("")).await.is_ok()).await;
}
