//! Webhooks: who is called, how often, and what becomes of who does not hear.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use textflight::auth::Authenticator;
use textflight::cog::http::{Options, Service};
use textflight::server::router;
use tokio::net::TcpListener;

use super::client::{send, serve, serve_with};
use super::receiver::Receiver;
use crate::engines::{Fake, serving};

fn hooked(id: &str, url: &str) -> Value {
    json!({ "id": id, "input": { "texts": "odd" }, "webhook": url })
}

#[tokio::test]
async fn the_last_call_is_made_again_until_it_is_heard() {
    let mut receiver = Receiver::answering([500, 404, 503, 429]).await;
    let options = Options { webhook_token: "hook-secret".parse().ok(), ..Options::default() };
    let service = serve_with(Fake::engine(8), options);
    let url = format!("http://{}/hook", receiver.address);
    let trace = [("prefer", "respond-async"), ("traceparent", "00-1-2-01"), ("tracestate", "a=b"), ("x-other", "no")];
    send(&service, "POST", "/predictions", &trace, hooked("hooked", &url)).await;
    // The first two are not repeated, whatever they are answered; the last one is.
    for status in ["processing", "processing", "succeeded", "succeeded", "succeeded"] {
        let call = receiver.next().await;
        assert_eq!(call.json["status"], status, "{call:?}");
        assert_eq!(call.headers["authorization"], "Bearer hook-secret");
        assert_eq!([&call.headers["traceparent"], &call.headers["tracestate"]], ["00-1-2-01", "a=b"]);
        assert!(!call.headers.contains_key("x-other"));
    }
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn a_call_that_is_refused_for_good_is_not_repeated() {
    let mut receiver = Receiver::answering([404; 10]).await;
    let service = serve(Fake::engine(8));
    let url = format!("http://{}/hook", receiver.address);
    let mut request = hooked("refused", &url);
    request["webhook_events_filter"] = json!(["completed"]);
    send(&service, "POST", "/predictions", &[], request).await;
    assert_eq!(receiver.next().await.json["status"], "succeeded");
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn webhooks_that_nobody_hears_hold_nothing_up() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = serve(Fake::engine(8));
    for url in unheard(&deaf) {
        let answer = send(&service, "POST", "/predictions", &[], hooked("deaf", &url));
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await.expect("an answer in time");
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("succeeded")));
    }
}

#[tokio::test]
async fn a_failure_is_told() {
    let mut receiver = Receiver::start().await;
    let service = serve(Fake::engine(8));
    let mut request = hooked("failing", &format!("http://{}/", receiver.address));
    request["input"]["texts"] = json!("fail");
    send(&service, "POST", "/predictions", &[], request).await;
    assert_eq!(receiver.next().await.json["status"], "processing");
    let last = receiver.next().await.json;
    assert_eq!((&last["status"], &last["error"]), (&json!("failed"), &json!("Prediction failed: the device failed")));
    assert!(last["metrics"]["predict_time"].is_f64() && last.get("output").is_none());
}

/// Addresses at which nobody hears: one that never answers, one that nobody listens at, and one that is never ready.
fn unheard(deaf: &TcpListener) -> [String; 2] {
    [format!("http://{}/never-answers", deaf.local_addr().unwrap()), "http://127.0.0.1:1/closed".to_owned()]
}

/// As the client that Cog has does it.
#[tokio::test]
async fn redirects_are_followed() {
    let mut receiver = Receiver::start().await;
    let service = serve(Fake::engine(8));
    for (status, method) in
        [(301, Method::GET), (302, Method::GET), (303, Method::GET), (307, Method::POST), (308, Method::POST)]
    {
        let mut request = hooked("moved", &receiver.url(&format!("/moved/{status}")));
        request["webhook_events_filter"] = json!(["completed"]);
        send(&service, "POST", "/predictions", &[], request).await;
        let first = receiver.next().await;
        let second = receiver.next().await;
        assert_eq!((first.method, first.path), (Method::POST, format!("/moved/{status}")));
        assert_eq!((&second.method, &*second.path), (&method, "/heard"));
        let body = if method == Method::POST { first.json } else { Value::Null };
        assert_eq!(second.json, body, "{status}");
    }
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn a_slow_receiver_is_called_once_for_each_event_and_does_not_hold_up_the_end() {
    let mut receiver = Receiver::start().await;
    let service = serve(Fake::engine(8));
    let began = Instant::now();
    send(&service, "POST", "/predictions", &[], hooked("slow", &receiver.url("/slow"))).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(receiver.next().await.json["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(heard, ["processing", "processing", "succeeded"]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}: one after another", began.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn a_name_and_a_password_of_the_address_go_before_the_token() {
    let mut receiver = Receiver::start().await;
    let options = Options { webhook_token: "hook-secret".parse().ok(), ..Options::default() };
    let service = serve_with(Fake::engine(8), options);
    for (user, expected) in [("", "Bearer hook-secret"), ("me:word@", "Basic bWU6d29yZA==")] {
        let url = format!("http://{user}{}/hook", receiver.address);
        send(&service, "POST", "/predictions", &[], hooked("named", &url)).await;
        for _ in 0..3 {
            assert_eq!(receiver.next().await.headers["authorization"], expected);
        }
    }
}

#[tokio::test]
async fn events_are_chosen() {
    let mut receiver = Receiver::start().await;
    let service = serve(Fake::engine(8));
    for (filter, expected) in [
        (json!([]), &[][..]),
        (json!(["logs"]), &[]),
        (json!(["start", "start"]), &["processing"]),
        (json!(["completed", "start"]), &["processing", "succeeded"]),
    ] {
        let mut request = hooked("chosen", &receiver.url("/"));
        request["webhook_events_filter"] = filter;
        send(&service, "POST", "/predictions", &[], request).await;
        for status in expected {
            assert_eq!(receiver.next().await.json["status"], *status);
        }
        assert!(receiver.is_silent().await);
    }
}

#[tokio::test]
async fn who_does_not_hear_does_not_keep_the_server_from_its_end() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let busy = Receiver::answering([503; 100]).await;
    for url in unheard(&deaf).into_iter().chain([busy.url("/")]) {
        let service = Service::new(Options::default(), serving(Fake::engine(8)));
        send(&router(&service, Authenticator::anonymous()), "POST", "/predictions", &[], hooked("unheard", &url)).await;
        let drained = tokio::time::timeout(Duration::from_secs(3), service.drained()).await;
        assert!(drained.is_ok(), "{url} keeps it");
    }
}

#[tokio::test]
async fn what_is_said_at_the_end_is_heard() {
    let mut receiver = Receiver::start().await;
    let service = Service::new(Options::default(), serving(Fake::engine(8)));
    let request = hooked("last", &receiver.url("/"));
    send(
        &router(&service, Authenticator::anonymous()),
        "POST",
        "/predictions",
        &[("prefer", "respond-async")],
        request,
    )
    .await;
    service.drained().await;
    let mut last = Value::Null;
    for _ in 0..3 {
        last = receiver.next().await.json;
    }
    assert_eq!(last["status"], "succeeded");
}
