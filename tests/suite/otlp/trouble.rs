//! Collectors that are not there, and addresses that are none: clients notice nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::collector::Collector;
use super::{SOON, TEXT, command, end, post, start};
use crate::support::closed_port;

const JSON: &str = "content-type: application/json\r\n";

/// A prediction, as if nothing were wrong.
async fn predict(server: &super::Process) {
    let texts = serde_json::json!([TEXT]).to_string();
    let body = serde_json::json!({ "input": { "texts": texts } }).to_string();
    let answer = tokio::time::timeout(SOON, post(server, "/predictions", JSON, &body)).await.unwrap();
    assert!(answer.contains("predicted_labels"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_is_told_once_and_without_its_password() {
    let closed = closed_port();
    let gone = closed.local_addr().unwrap();
    let variables = [("OTEL_BSP_SCHEDULE_DELAY", "20"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "200")];
    let server = start(&format!("http://me:hush@{gone}?key=hush"), &[], &variables);
    for _ in 0..5 {
        predict(&server).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let log = end(server).await;
    assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
    assert!(log.contains("Connection refused") && log.contains("spans were lost lost="), "{log}");
    assert!(!log.contains("hush"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_holds_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let variables = [("OTEL_BSP_SCHEDULE_DELAY", "20"), ("OTEL_BSP_MAX_QUEUE_SIZE", "8")];
    let server = start(&format!("http://{}", silent.local_addr().unwrap()), &[], &variables);
    for _ in 0..10 {
        predict(&server).await;
    }
    let begun = Instant::now();
    let log = end(server).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(log.matches("spans are lost").count(), 1, "{log}");
    assert!(log.contains("the last traces were not sent in time") && log.contains("spans were lost lost="), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_a_password_reach_the_collector_and_what_it_drops_is_lost() {
    // ExportTraceServiceResponse { partial_success: { rejected_spans: 3 } }
    let collector = Collector::answering(b"\x0a\x02\x08\x03").await;
    let endpoint = collector.endpoint.replace("http://", "http://me:pass%20word@");
    // All in one request.
    let server = start(&endpoint, &[], &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]);
    predict(&server).await;
    let log = end(server).await;
    assert_eq!(collector.header("authorization"), "Basic bWU6cGFzcyB3b3Jk");
    assert!(log.contains("spans were lost lost=3"), "{log}");
    for secret in ["pass word", "pass%20word", "bWU6cGFzcyB3b3Jk"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn what_is_no_collector_is_refused() {
    for (endpoint, variable, words) in [
        ("localhost:4318", ("A", ""), "--otlp-endpoint: it does not begin with http"),
        ("http://a", ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "textflight has http/protobuf"),
        ("http://a", ("OTEL_TRACES_SAMPLER", "much"), "OTEL_TRACES_SAMPLER is \"much\""),
        ("http://a", ("OTEL_EXPORTER_OTLP_TIMEOUT", "30s"), "OTEL_EXPORTER_OTLP_TIMEOUT is \"30s\""),
        ("http://a", ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615"), "a whole number from 1 to 1048576"),
        ("http://a", ("SSL_CERT_FILE", "/no/such/file"), "/no/such/file"),
    ] {
        let output = command(":", &["--otlp-endpoint", endpoint], &[variable]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{error}");
    }
}
