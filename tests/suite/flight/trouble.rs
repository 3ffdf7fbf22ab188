//! Clients that do not read, engines that fail or die, more exchanges than there is room for.

use std::time::Duration;

use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, stream};
use textflight::flight::FlightLimits;
use textflight::memory::Memory;
use tonic::Code;

use super::client::{LIMITS, batch, catalog, connect, connect_to, exchange, failure, messages, read};
use super::datasets::{info, rows, tickets, write};
use super::long::cancel;
use crate::engines::Fake;

#[tokio::test]
async fn a_failing_engine_fails_the_exchange_alone() {
    let mut client = connect(Fake::engine(1000), LIMITS).await;
    let status = failure(&mut client, messages("", vec![batch(&[Some("a")]), batch(&[Some("fail")])])).await;
    assert_eq!((status.code(), status.message()), (Code::Internal, "the device failed"));
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dead_engine_is_unavailable_with_the_cause() {
    let mut client = connect(Fake::engine(1000), LIMITS).await;
    for text in ["panic", "a"] {
        let status = failure(&mut client, messages("", vec![batch(&[Some(text)])])).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("the fake was told to"), "{status:?}");
    }
}

#[tokio::test]
async fn one_exchange_too_many_is_told_to_try_again() {
    let (engine, _fake, open) = Fake::gated_engine(1000);
    let mut client = connect(engine, LIMITS).await;
    let mut replies = Vec::new();
    for _ in 0..LIMITS.streams {
        replies.push(exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap());
    }
    let status = failure(&mut client, messages("", vec![batch(&[Some("a")])])).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("4 streams are open"), "{status:?}");
    drop(open);
    for reply in replies {
        assert_eq!(read(reply).await.unwrap().len(), 1);
    }
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_writes_all_before_it_reads_is_told_so() {
    let mut client = connect(Fake::engine(100_000), LIMITS).await;
    let text = "x".repeat(2000);
    let many = vec![batch(&vec![Some(text.as_str()); 100]); 100];
    let (wrote, written) = tokio::sync::oneshot::channel();
    let mut wrote = Some(wrote);
    let sent = messages("", many).chain(stream::poll_fn(move |_| {
        wrote.take().map(|wrote| wrote.send(()));
        std::task::Poll::Ready(None)
    }));
    let mut reply = exchange(&mut client, sent).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("the write never ends").unwrap();
    let status = loop {
        match reply.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the client was served, though it did not read"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("read while you write"), "{status:?}");
}

#[tokio::test]
async fn an_exchange_that_says_nothing_gives_its_place_back() {
    let mut client = connect(Fake::engine(1000), FlightLimits { streams: 1, ..LIMITS }).await;
    let descriptor = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(""));
    let metadata = FlightData::new().with_app_metadata("no schema");
    let beginnings = [vec![], vec![descriptor.clone()], vec![descriptor, metadata]];
    for beginning in beginnings {
        let sent = stream::iter(beginning).chain(stream::pending());
        let status = failure(&mut client, sent).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("no schema came within 0.3 s"), "{status:?}");
        let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
        assert_eq!(read(reply).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_client_that_goes_takes_its_rows_along() {
    let (engine, fake, open) = Fake::gated_engine(1000);
    let mut client = connect(engine.clone(), LIMITS).await;
    let texts: Vec<String> = (0..100).map(|i| format!("text {i}")).collect();
    let column: Vec<_> = texts.iter().map(|text| Some(text.as_str())).collect();
    let reply = exchange(&mut client, messages("", vec![batch(&column)])).await.unwrap();
    fake.has_begun(1).await;
    drop(reply);
    // The server hears of it with the next frames; an exchange of another client proves that they were handled.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(open);
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("another")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    let scored = fake.scored.lock().unwrap().clone();
    assert!(scored.len() <= 33, "one batch had begun; then {} were scored", scored.len());
    assert_eq!(scored.last().map(String::as_str), Some("another"));
}

/// Whether its client goes or it is cancelled: of a flight no more is scored than the batch that had begun.
#[tokio::test]
async fn a_flight_that_nobody_wants_any_more_takes_its_rows_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 1000), 1000);
    for is_cancelled in [false, true] {
        let (engine, fake, open) = Fake::gated_engine(1000);
        let (catalog, memory) = (catalog(), Memory::default());
        catalog.datasets.add_path("data", &path).unwrap();
        let mut client = connect_to(engine.clone(), LIMITS, memory.clone(), catalog).await;
        let found = info(&mut client, r#"{"data": "data"}"#).await.unwrap();
        let reply = client.do_get(tickets(&found).remove(0)).await.unwrap().into_inner();
        fake.has_begun(1).await;
        if is_cancelled {
            cancel(&mut client, &found).await.unwrap();
            assert!(read(reply).await.is_err());
        } else {
            drop(reply);
        }
        let is_dropped = async {
            while memory.held() > 0 || engine.queue_depth().bulk.rows > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_dropped).await.expect("its rows wait for nobody");
        drop(open);
        let reply = exchange(&mut client, messages("", vec![batch(&[Some("another")])])).await.unwrap();
        assert_eq!(read(reply).await.unwrap().len(), 1);
        let scored = fake.scored.lock().unwrap().clone();
        assert!(scored.len() <= 33, "one batch had begun; then {} were scored", scored.len());
    }
}

#[tokio::test]
async fn an_upload_without_a_name_is_told_what_is_missing() {
    let mut client = connect(Fake::engine(1000), LIMITS).await;
    let mut reply = client.do_put(stream::iter([FlightData::new()])).await.unwrap().into_inner();
    let status = reply.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("no descriptor"), "{status:?}");
}
