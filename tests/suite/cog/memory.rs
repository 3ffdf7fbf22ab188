//! Requests for which there is no memory now, or never, and how it comes back.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response, header};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use textflight::cog::http::Options;
use textflight::memory::Memory;
use tower::ServiceExt;

use super::client::{body, get, json_request, post, send, serve_with, wait_until};
use crate::engines::Fake;

const MIB: usize = 1024 * 1024;

/// A service whose requests may hold 32 MiB, four of them kept for small ones.
fn serve() -> (Router, Memory) {
    let memory = Memory::new(32 * MIB);
    let options = Options { memory: memory.clone(), ..Options::default() };
    (serve_with(Fake::engine(8), options), memory)
}

/// Texts that make a body of a MiB.
fn large() -> String {
    body(&"a".repeat(MIB))
}

async fn ask(service: &Router, request: Request<Body>) -> Response<Body> {
    service.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

#[tokio::test]
async fn a_large_request_is_told_to_come_again_and_a_small_one_is_served() {
    let (service, memory) = serve();
    let held = memory.try_reserve(27 * MIB).unwrap();
    let refused = ask(&service, json_request(large())).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()[header::RETRY_AFTER]), (409, &"1".parse().unwrap()));
    let refused: Value = serde_json::from_slice(&to_bytes(refused.into_body(), MIB).await.unwrap()).unwrap();
    assert_eq!(refused["status"], "failed");
    assert!(refused["error"].as_str().unwrap().contains("try again later"), "{refused}");

    assert_eq!(post(&service, body("small")).await.status, 200);
    assert_eq!(get(&service, "/openapi.json").await.status, 200);
    drop(held);
    assert_eq!(post(&service, large()).await.status, 200);
}

#[tokio::test]
async fn replicate_is_told_in_its_own_words() {
    let (service, memory) = serve();
    let _held = memory.try_reserve(27 * MIB).unwrap();
    let request = Request::post("/v1/predictions").header(header::CONTENT_TYPE, "application/json");
    let refused = ask(&service, request.body(Body::from(large())).unwrap()).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()[header::RETRY_AFTER]), (503, &"1".parse().unwrap()));
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn what_never_fits_is_refused_at_once() {
    let (service, memory) = serve();
    let _held = memory.try_reserve(28 * MIB).unwrap();
    let refused = post(&service, body(&"a".repeat(9 * MIB))).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("--memory-limit"), "{refused:?}");
}

/// A body of unknown length that has sent so much and then says nothing.
fn unfinished(bytes: usize) -> Body {
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let begun = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(piece), bytes / (64 * 1024)));
    Body::from_stream(begun.chain(stream::pending()))
}

#[tokio::test]
async fn a_body_without_a_length_takes_what_it_needs_as_it_comes_and_gives_it_back() {
    let (service, memory) = serve();
    let client = tokio::spawn({
        let service = service.clone();
        async move { ask(&service, json_request(unfinished(4 * MIB))).await }
    });
    wait_until("the body to hold its memory", async || memory.try_reserve(20 * MIB).is_err()).await;
    assert_eq!(post(&service, body("small")).await.status, 200);
    // A second one does not wait for the first, which may never end.
    let second = ask(&service, json_request(unfinished(6 * MIB))).await;
    assert_eq!(second.status(), 409);
    client.abort();
    wait_until("the memory to come back", async || memory.try_reserve(28 * MIB).is_ok()).await;
}

#[tokio::test]
async fn a_body_without_a_length_that_fits_is_taken_though_its_double_would_not() {
    let (service, memory) = serve();
    let pieces = Bytes::from(body(&"a".repeat(6 * MIB)));
    let pieces: Vec<_> =
        pieces.chunks(64 * 1024).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    let answer = ask(&service, json_request(Body::from_stream(stream::iter(pieces)))).await;
    assert_eq!(answer.status(), 200);
    drop(answer);
    memory.try_reserve(28 * MIB).unwrap();
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let memory = Memory::new(32 * MIB);
    let mut options = Options { memory: memory.clone(), ..Options::default() };
    options.limits.body_time = Duration::from_millis(100);
    let service = serve_with(Fake::engine(8), options);
    let answer = ask(&service, json_request(unfinished(4 * MIB))).await;
    assert_eq!(answer.status(), 408);
    drop(answer);
    memory.try_reserve(28 * MIB).unwrap();
}

#[tokio::test]
async fn an_answer_holds_its_memory_until_it_was_sent() {
    let (service, memory) = serve();
    let answer = ask(&service, json_request(large())).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert!(memory.try_reserve(26 * MIB).is_err());
    drop(answer);
    memory.try_reserve(28 * MIB).unwrap();
    let answer = send(&service, "POST", "/predictions", &[], json!({ "input": { "texts": "a" } })).await;
    assert_eq!(answer.status, 200);
}
