//! How long calls take: by what their clients ask, by what the server allows, and while it stops.

use std::time::{Duration, Instant};

use arrow_flight::{Criteria, FlightData, FlightDescriptor};
use futures::{StreamExt, stream};
use textflight::flight::FlightLimits;
use tonic::{Code, Request};

use super::client::{LIMITS, batch, connect, exchange, failure, messages, read};
use crate::engines::Fake;

const PATIENT: FlightLimits = FlightLimits { stall_timeout: Duration::from_mins(1), ..LIMITS };

/// An exchange of a batch, whose client then says nothing more.
fn open_ended() -> impl stream::Stream<Item = FlightData> + Send + 'static {
    messages("", vec![batch(&[Some("a"), Some("bb")])]).chain(stream::pending())
}

#[tokio::test]
async fn what_the_client_allows_ends_its_call_and_what_was_queued_for_it() {
    let (engine, fake, open) = Fake::gated_engine(10_000);
    let mut client = connect(engine, PATIENT).await;
    let texts: Vec<String> = (0..200).map(|i| format!("text {i}")).collect();
    let column: Vec<_> = texts.iter().map(|text| Some(text.as_str())).collect();
    let mut request = Request::new(messages("", vec![batch(&column)]));
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let began = Instant::now();
    let mut reply = client.do_exchange(request).await.unwrap().into_inner();
    fake.has_begun(1).await;
    let status = loop {
        match reply.message().await {
            Ok(message) => assert!(message.is_some(), "it ended"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("grpc-timeout: 300m"), "{status:?}");
    for trailer in ["x-textflight-queue-seconds", "x-textflight-compute-seconds"] {
        assert!(status.metadata().contains_key(trailer), "{trailer}: {status:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(15));
    drop(open);
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("another")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    let scored = fake.scored.lock().unwrap().len();
    assert!(scored <= 33, "one batch of 32 had begun; then {scored} were scored");
}

#[tokio::test]
async fn a_time_that_is_none_is_refused() {
    let mut client = connect(Fake::engine(1000), PATIENT).await;
    let mut request = Request::new(Criteria::default());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = client.list_flights(request).await.map(drop).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("like 30S"), "{status:?}");
}

#[tokio::test]
async fn no_call_takes_longer_than_the_server_allows() {
    let limits = FlightLimits { stream_timeout: Duration::from_millis(300), ..PATIENT };
    let mut client = connect(Fake::engine(1000), limits).await;
    let status = failure(&mut client, open_ended()).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("0.3 s that --stream-timeout gives"), "{status:?}");
}

#[tokio::test]
async fn an_exchange_that_falls_silent_ends_and_gives_its_place_back() {
    let limits = FlightLimits { streams: 1, idle_timeout: Duration::from_millis(300), ..PATIENT };
    let mut client = connect(Fake::engine(1000), limits).await;
    let descriptor = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(""));
    let beginning = stream::iter([descriptor]).chain(stream::pending()).boxed();
    for sent in [open_ended().boxed(), beginning] {
        let began = Instant::now();
        let status = failure(&mut client, sent).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("--exchange-idle-timeout"), "{status:?}");
        assert!(began.elapsed() < Duration::from_secs(15));
    }
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_exchange_that_waits_for_its_scores_is_not_silent() {
    let (engine, fake, open) = Fake::gated_engine(1000);
    let limits = FlightLimits { idle_timeout: Duration::from_millis(100), ..PATIENT };
    let mut client = connect(engine, limits).await;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let sent =
        messages("", vec![batch(&[Some("a")])]).chain(stream::once(ended).filter_map(|_| std::future::ready(None)));
    let mut reply = exchange(&mut client, sent).await.unwrap();
    assert!(reply.message().await.unwrap().is_some(), "the schema");
    fake.has_begun(1).await;
    // Many times as long as it may be silent.
    let waits = tokio::time::timeout(Duration::from_millis(800), reply.message()).await;
    assert!(waits.is_err(), "{waits:?}");
    drop((open, end));
    assert!(reply.message().await.unwrap().is_some());
    assert!(reply.message().await.unwrap().is_none());
}
