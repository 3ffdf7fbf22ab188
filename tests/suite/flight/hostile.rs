//! Messages that no honest client sends: each is an error to its sender, and the server goes on.

use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tonic::Code;

use super::client::{Client, LIMITS, batch, connect, exchange, failure, messages, read};
use crate::engines::Fake;

async fn good() -> Vec<FlightData> {
    messages("", vec![batch(&[Some("a"), Some("bb")])]).collect().await
}

/// The messages are refused as the sender's fault with this text, and the next client is served.
#[track_caller]
fn refused(sent: Vec<FlightData>, expected: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = connect(Fake::engine(1000), LIMITS).await;
        let status = failure(&mut client, stream::iter(sent)).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(expected), "{expected:?} is not in {:?}", status.message());
        still_serves(&mut client).await;
    });
}

async fn still_serves(client: &mut Client) {
    let reply = exchange(client, stream::iter(good().await)).await.unwrap();
    assert_eq!(read(reply).await.unwrap()[0].num_rows(), 2);
}

fn with_good(change: impl FnOnce(&mut Vec<FlightData>)) -> Vec<FlightData> {
    let mut sent = futures::executor::block_on(good());
    change(&mut sent);
    sent
}

#[test]
fn a_missing_or_wrong_descriptor() {
    refused(with_good(|sent| sent[0].flight_descriptor = None), "no descriptor");
    let path = FlightDescriptor::new_path(vec!["a".to_owned(), "b".to_owned()]);
    refused(with_good(|sent| sent[0].flight_descriptor = Some(path)), "takes a command descriptor");
    refused(
        with_good(|sent| sent[0].flight_descriptor = Some(FlightDescriptor::default())),
        "takes a command descriptor",
    );
    refused(Vec::new(), "no message");
}

#[test]
fn options_and_columns_that_are_wrong() {
    let sent = |command: &str| {
        let command = FlightDescriptor::new_cmd(command.to_owned());
        with_good(|sent| sent[0].flight_descriptor = Some(command))
    };
    refused(sent("{\"colour\": 1}"), "unknown field `colour`");
    refused(sent("{\"text\": \"review\"}"), "column \"review\" not found; string columns: text");
    refused(sent("{\"label_column\": \"id\"}"), "already has a column \"id\"");
}

#[test]
fn messages_out_of_order() {
    refused(
        with_good(|sent| {
            let descriptor = sent[0].flight_descriptor.clone();
            sent.remove(0);
            sent[0].flight_descriptor = descriptor;
        }),
        "a message before the schema",
    );
    refused(with_good(|sent| sent.push(sent[0].clone())), "a second schema");
}

#[test]
fn headers_and_bodies_that_are_broken() {
    refused(with_good(|sent| sent[1].data_header = Bytes::from_static(b"garbage, all of it")), "cannot be decoded");
    refused(with_good(|sent| sent[1].data_header = sent[1].data_header.slice(..20)), "cannot be decoded");
    refused(with_good(|sent| sent[0].data_header = Bytes::from_static(&[0xff; 64])), "cannot be decoded");
    for message in 0..2 {
        let zeros = Bytes::from_static(&[0; 256]);
        refused(with_good(|sent| sent[message].data_header = zeros), "neither a schema nor a batch");
    }
}

#[test]
fn text_that_is_no_unicode() {
    refused(
        with_good(|sent| {
            let mut body = sent[1].data_body.to_vec();
            let text = body.windows(3).rposition(|bytes| bytes == b"abb").unwrap();
            body[text] = 0xff;
            sent[1].data_body = body.into();
        }),
        "is not text: column",
    );
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_body_is_an_error_or_a_result() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = connect(Fake::engine(1000), LIMITS).await;
        let good = good().await;
        let body = good[1].data_body.clone();
        let header = good[1].data_header.clone();
        for i in 0..body.len() {
            let mut flipped = body.to_vec();
            flipped[i] ^= 0x81;
            for changed in [body.slice(..i), Bytes::from(flipped)] {
                let mut sent = good.clone();
                sent[1].data_body = changed;
                ends(&mut client, sent).await;
            }
        }
        for i in 0..header.len() {
            let mut flipped = header.to_vec();
            flipped[i] ^= 0x81;
            let mut sent = good.clone();
            sent[1].data_header = flipped.into();
            ends(&mut client, sent).await;
        }
        still_serves(&mut client).await;
    });
}

/// Whatever comes of it, the exchange ends, and an error is not the connection's.
async fn ends(client: &mut Client, sent: Vec<FlightData>) {
    let Ok(mut reply) = exchange(client, stream::iter(sent)).await else { return };
    let all = async { while let Ok(Some(_)) = reply.message().await {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("the exchange hangs");
}

#[test]
fn a_message_above_the_limit() {
    let text = "x".repeat(LIMITS.message_bytes);
    let sent = futures::executor::block_on(async { messages("", vec![batch(&[Some(&text)])]).collect().await });
    refused(sent, "max_chunksize");
}
