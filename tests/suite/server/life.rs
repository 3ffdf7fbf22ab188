//! From the start to the end.

use std::time::Duration;

use arrow_flight::{Empty, FlightDescriptor};
use futures::stream;
use textflight::Error;
use textflight::auth::Authenticator;
use textflight::readiness::ServedModel;
use textflight::server::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{CONNECTIONS, PREFACE, Running, SETTINGS, config, rest, say, serve, start};
use crate::engines::{Fake, VERSION};
use crate::flight::client::{batch, exchange, messages, read};

/// What any call is refused with.
async fn refusals(running: &Running, token: Option<&str>) -> Vec<Status> {
    fn with<T>(call: T, token: Option<&str>) -> Request<T> {
        let mut call = Request::new(call);
        let header = token.map(|token| format!("Bearer {token}").parse().unwrap());
        header.map(|header| call.metadata_mut().insert("authorization", header));
        call
    }
    let mut client = running.client().await;
    vec![
        client.do_exchange(with(stream::empty(), token)).await.map(drop).unwrap_err(),
        client.list_actions(with(Empty {}, token)).await.map(drop).unwrap_err(),
        client.get_schema(with(FlightDescriptor::new_cmd(""), token)).await.map(drop).unwrap_err(),
    ]
}

/// What probes and Prometheus are told: `/health-check`, the gRPC health of the server and of Flight, and the page's `ready`.
async fn told(running: &Running) -> (String, [ServingStatus; 2], String) {
    let health = running.get("/health-check").await;
    let status = health.split(r#""status":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let channel = Endpoint::new(format!("http://{}", running.flight)).unwrap().connect().await.unwrap();
    let probe = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status()
    };
    let grpc = [probe("").await, probe("arrow.flight.protocol.FlightService").await];
    let scrape = "GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\nconnection: close\r\n\r\n";
    let page = super::ask(running.http, scrape).await;
    let ready = page.lines().find_map(|line| line.strip_prefix("textflight_ready ")).unwrap_or(&page).to_owned();
    (status, grpc, ready)
}

#[tokio::test]
async fn both_ports_answer_while_the_model_is_loaded() {
    let authenticator = Authenticator::new("secret".parse().ok().as_ref(), &[]).unwrap();
    let mut running = start(ServerConfig { authenticator, ..config(CONNECTIONS) }).await;
    assert_eq!(told(&running).await, ("STARTING".to_owned(), [ServingStatus::NotServing; 2], "0".to_owned()));
    for status in refusals(&running, Some("secret")).await {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("the model is being loaded"), "{status:?}");
    }
    for token in [None, Some("wrong")] {
        for status in refusals(&running, token).await {
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
        }
    }
    running.bring(Ok(ServedModel::new(Fake::engine(8), VERSION.to_owned())));
    super::eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    assert_eq!(told(&running).await, ("READY".to_owned(), [ServingStatus::Serving; 2], "1".to_owned()));
    let codes = async |token| refusals(&running, token).await.iter().map(Status::code).collect::<Vec<_>>();
    // An exchange without a message is refused in its reply.
    let mut client = running.client().await;
    let mut call = Request::new(messages("", vec![batch(&[Some("a")])]));
    call.metadata_mut().insert("authorization", "token secret".parse().unwrap());
    assert_eq!(read(client.do_exchange(call).await.unwrap().into_inner()).await.unwrap().len(), 1);
    assert_eq!(codes(None).await, [Code::Unauthenticated; 3]);
    assert!(running.get("/predictions/a").await.starts_with("HTTP/1.1 401"));
    running.stop().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_ends_the_server() {
    let mut running = start(config(CONNECTIONS)).await;
    running.bring(Err(Error::Checkpoint("no weights".to_owned())));
    let (flight, http) = (running.flight, running.http);
    assert!(matches!(running.end().await, Err(Error::Checkpoint(cause)) if cause == "no weights"));
    for port in [flight, http] {
        assert!(TcpStream::connect(port).await.is_err(), "{port}");
    }
}

#[tokio::test]
async fn a_signal_does_not_wait_for_the_model() {
    let running = start(config(CONNECTIONS)).await;
    assert!(running.stop().await < Duration::from_secs(5));
}

#[tokio::test]
async fn a_model_thread_that_dies_ends_the_server() {
    let running = serve(CONNECTIONS).await;
    let mut client = running.client().await;
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("panic")])])).await.unwrap();
    assert!(read(reply).await.is_err());
    assert!(matches!(running.end().await, Err(Error::Stopped(cause)) if cause.contains("the fake was told to")));
}

#[tokio::test]
async fn a_probe_that_watches_sees_the_end_and_does_not_hold_it_up() {
    let running = serve(CONNECTIONS).await;
    let channel = Endpoint::new(format!("http://{}", running.flight)).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = tokio::spawn(running.stop());
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    drop((watch, client));
    assert!(stopping.await.unwrap() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_client_can_end_the_server() {
    let running = serve(CONNECTIONS).await;
    let answer = super::ask(running.http, "POST /shutdown HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains("200 OK"), "{answer}");
    running.end().await.unwrap();
}

#[tokio::test]
async fn what_runs_may_finish_and_then_the_ports_are_closed() {
    let (engine, fake, open) = Fake::gated_engine(1000);
    let mut running = start(config(CONNECTIONS)).await;
    running.bring(Ok(ServedModel::new(engine, VERSION.to_owned())));
    let mut client = running.client().await;
    super::eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    let body = r#"{"input": {"texts": "b"}}"#;
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let mut http =
        say(running.http, format!("PUT /predictions/mine HTTP/1.1\r\nhost: a\r\n{head}\r\n{body}").as_bytes()).await;
    super::eventually("an exchange", async || fake.begun.load(std::sync::atomic::Ordering::SeqCst) > 0).await;
    super::eventually("a prediction", async || running.get("/predictions/mine").await.contains("processing")).await;

    let (flight, port) = (running.flight, running.http);
    let stopping = tokio::spawn(running.stop());
    super::eventually("closed ports", async || {
        TcpStream::connect(flight).await.is_err() && TcpStream::connect(port).await.is_err()
    })
    .await;
    drop(open);
    assert_eq!(read(reply).await.unwrap().len(), 1);
    let answer = String::from_utf8(rest(&mut http).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("succeeded"), "{answer}");
    drop(client);
    stopping.await.unwrap();
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_hold_the_end_up() {
    let running = serve(CONNECTIONS).await;
    let greeting = [PREFACE, SETTINGS].concat();
    let mut open = Vec::new();
    for port in [running.flight, running.http] {
        for words in [&b""[..], b"P", &greeting] {
            for _ in 0..10 {
                open.push(say(port, words).await);
            }
        }
    }
    let mut kept = say(running.http, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    kept.readable().await.unwrap();
    kept.write_all(b"GET /health").await.unwrap();
    let took = running.stop().await;
    assert!(took < Duration::from_secs(15), "{took:?}");
}
