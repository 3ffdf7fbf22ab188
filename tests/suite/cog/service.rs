//! The routes where a recorded exchange cannot reach: limits, refusals, and an engine in trouble.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use textflight::cog::http::Options;
use textflight::engine::Health;
use tokio::task::JoinHandle;

use super::client::{Answer, VERSION, ask, body, get, json_request, post, serve, serve_with, wait_until};
use crate::engines::Fake;

/// 100 MiB.
const MAX_BODY: usize = 100 * 1024 * 1024;

#[tokio::test]
async fn a_prediction_has_the_fields_of_cog() {
    let service = serve(Fake::engine(8));
    let mut answer = post(&service, body(r#"["odd", "even"]"#)).await;
    assert!(answer.text.contains("0.9998000264167786"), "{}", answer.text);
    let mut prediction = answer.json();
    assert!(prediction["id"].take().as_str().unwrap().starts_with("pred_"));
    assert!(prediction["metrics"]["predict_time"].take().as_f64().unwrap() > 0.0);
    let output = json!({ "predicted_labels": [1, 0], "confidences": [0.75, 0.999_800_026_416_778_6] });
    for time in ["created_at", "started_at", "completed_at"] {
        assert!(prediction[time].take().as_str().unwrap().starts_with("20"), "{prediction}");
    }
    let expected = json!({
        "id": null, "output": output, "logs": "", "status": "succeeded", "metrics": { "predict_time": null },
        "created_at": null, "started_at": null, "completed_at": null, "version": VERSION,
    });
    assert_eq!(prediction, expected);

    answer = post(&service, r#"{"id": null, "input": {"texts": "[]"}}"#).await;
    assert!(answer.json()["id"].as_str().unwrap().starts_with("pred_"));
}

#[track_caller]
fn check_text(answer: &Answer, status: u16, expected: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert!(answer.text.contains(expected), "{answer:?}");
}

#[track_caller]
fn check_json(answer: &Answer, status: u16, expected: &Value) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(&answer.json(), expected);
}

#[tokio::test]
async fn bodies_that_are_no_request() {
    let service = serve(Fake::engine(8));
    check_text(&post(&service, "").await, 400, "EOF while parsing a value");
    check_text(&post(&service, r#"{"input": {"texts": "\ud800"}}"#).await, 400, "hex escape");
    check_text(&post(&service, vec![b'"', 0xff, b'"']).await, 400, "Failed to parse the request body as JSON");
    check_text(&post(&service, r#"{"id": 1}"#).await, 422, "id: invalid type: integer `1`, expected a string");
    check_text(&post(&service, "[]").await, 422, "Failed to deserialize the JSON body");
    check_text(&post(&service, r#"{"input": {}, "input": {}}"#).await, 422, "duplicate field `input`");
}

#[tokio::test]
async fn the_content_type_decides_whether_there_is_a_body() {
    let service = serve(Fake::engine(8));
    let typed = |content_type: &str| {
        let request = Request::post("/predictions").header(header::CONTENT_TYPE, content_type);
        request.body(Body::from(body("a"))).unwrap()
    };
    let expected = "Expected request with `Content-Type: application/json`";
    check_text(&ask(&service, typed("text/plain")).await, 415, expected);
    assert_eq!(ask(&service, typed("application/json; charset=utf-8")).await.status, 200);

    let untyped = Request::post("/predictions").body(Body::from(body("a"))).unwrap();
    let answer = ask(&service, untyped).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.json()["detail"][0]["msg"], "Field required");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let mut options = Options::default();
    options.limits.body_bytes = 40;
    let service = serve_with(Fake::engine(8), options);
    assert_eq!(post(&service, body("short")).await.status, 200);
    check_text(&post(&service, body("longer than that limit")).await, 413, "length limit exceeded");
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let mut options = Options::default();
    options.limits.body_time = Duration::from_millis(50);
    let service = serve_with(Fake::engine(8), options);
    let begun = futures::stream::iter([Ok::<_, std::io::Error>("{")]).chain(futures::stream::pending());
    let answer = post(&service, Body::from_stream(begun)).await;
    check_json(&answer, 408, &json!({ "detail": "the body did not arrive within 0.05 seconds" }));
}

#[tokio::test]
async fn the_limit_is_that_of_cog() {
    let service = serve(Fake::engine(8));
    let padded = |length: usize| {
        let empty = body("");
        body(&"a".repeat(length - empty.len()))
    };
    let answer = post(&service, padded(MAX_BODY)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    check_text(&post(&service, padded(MAX_BODY + 1)).await, 413, "length limit exceeded");
}

#[tokio::test]
async fn a_stream_of_events_is_not_had() {
    let service = serve(Fake::engine(8));
    let mut stream = json_request(body("a"));
    stream.headers_mut().insert(header::ACCEPT, "application/json, text/event-stream".parse().unwrap());
    assert_eq!(ask(&service, stream).await.status, 406);
}

#[tokio::test]
async fn an_engine_that_fails_fails_the_prediction() {
    let service = serve(Fake::engine(8));
    let answer = post(&service, body(r#"["fine", "fail"]"#)).await;
    assert_eq!(answer.status, 200);
    let prediction = answer.json();
    assert_eq!(prediction["status"], "failed");
    assert_eq!(prediction["error"], "Prediction failed: the device failed");
    assert_eq!(prediction["logs"], "");
    assert!(prediction["metrics"]["predict_time"].is_number());
    assert_eq!(prediction.get("output"), None);
    assert_eq!(post(&service, body("next")).await.status, 200);
}

#[tokio::test]
async fn what_is_too_large_for_the_engine_is_not_a_result() {
    let service = serve(Fake::engine(8));
    let answer = post(&service, body("too large")).await;
    check_json(&answer, 413, &json!({ "detail": "too large by the fake's measure" }));
}

#[tokio::test]
async fn a_dead_engine_is_defunct() {
    let engine = Fake::engine(8);
    let service = serve(engine.clone());
    assert_eq!(get(&service, "/health-check").await.json()["status"], "READY");
    for text in ["panic", "after"] {
        let answer = post(&service, body(text)).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let refusal = answer.json();
        assert_eq!(refusal["status"], "failed");
        assert!(refusal["error"].as_str().unwrap().contains("the fake was told to"), "{refusal}");
    }
    assert_ne!(engine.health(), Health::Serving);
    let answer = get(&service, "/health-check").await;
    assert_eq!(answer.status, 200);
    let health = answer.json();
    assert_eq!(health["status"], "DEFUNCT");
    assert!(health["error"].as_str().unwrap().contains("the fake was told to"), "{health}");
}

/// Sends a request and lets it come as far as the engine.
async fn begin(service: &Router, text: &'static str) -> JoinHandle<Answer> {
    let service = service.clone();
    let answer = tokio::spawn(async move { post(&service, body(text)).await });
    tokio::task::yield_now().await;
    answer
}

#[tokio::test]
async fn an_engine_without_room_refuses() {
    let (engine, _, open) = Fake::gated_engine(1);
    let service = serve(engine);
    let first = begin(&service, "first").await;
    let full = json!({ "error": "At capacity - all prediction slots busy", "status": "failed" });
    check_json(&post(&service, body("second")).await, 409, &full);

    drop(open);
    assert_eq!(first.await.unwrap().status, 200);
    wait_until("room", async || post(&service, body("next")).await.status == 200).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels() {
    let (engine, fake, open) = Fake::gated_engine(2);
    let service = serve(engine);
    let running = begin(&service, "running").await;
    wait_until("the first batch", async || fake.begun.load(Ordering::SeqCst) == 1).await;
    let waiting = begin(&service, "waiting").await;
    assert_eq!(post(&service, body("third")).await.status, 409);

    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(open);
    assert_eq!(running.await.unwrap().status, 200);
    wait_until("its room", async || post(&service, body(r#"["next", "two"]"#)).await.status == 200).await;
    let scored = fake.scored.lock().unwrap().clone();
    assert_eq!(scored.iter().filter(|text| *text == "waiting").count(), 0, "{scored:?}");
    assert!(scored.contains(&"running".to_owned()), "{scored:?}");
}
