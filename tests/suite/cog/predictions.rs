//! Predictions as others see them while they run and after: asynchronous ones, by id, cancelled, with webhooks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use textflight::auth::Authenticator;
use textflight::cog::http::{Options, Service};
use textflight::readiness::{Readiness, ServedModel};
use textflight::server::router;

use super::client::{VERSION, concurrent, get, send, serve, serve_with, wait_until};
use crate::engines::{Fake, serving};

const ASYNC: &[(&str, &str)] = &[("prefer", "respond-async")];

fn texts(texts: &str) -> Value {
    json!({ "input": { "texts": texts } })
}

async fn find(service: &Router, id: &str) -> Value {
    get(service, &format!("/predictions/{id}")).await.json()
}

async fn cancel(service: &Router, id: &str) -> u16 {
    send(service, "POST", &format!("/predictions/{id}/cancel"), &[], json!({})).await.status.as_u16()
}

#[tokio::test]
async fn an_asynchronous_prediction_can_be_read_until_it_ends_and_after() {
    let (engine, _, open) = Fake::gated_engine(8);
    let service = serve(engine);
    let answer = send(&service, "PUT", "/predictions/mine", ASYNC, texts(r#"["odd"]"#)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "id": "mine", "status": "starting" })));
    wait_until("its beginning", async || find(&service, "mine").await["status"] == "processing").await;
    let running = find(&service, "mine").await;
    assert_eq!(running["input"]["texts"], r#"["odd"]"#);
    assert_eq!((&running["metrics"], running.get("output")), (&json!({}), None));

    drop(open);
    wait_until("its end", async || find(&service, "mine").await["status"] == "succeeded").await;
    let ended = find(&service, "mine").await;
    assert_eq!(ended["output"], json!({ "predicted_labels": [1], "confidences": [0.75] }));
    assert!(ended["metrics"]["predict_time"].is_f64() && ended["completed_at"].is_string(), "{ended}");
    assert_eq!(get(&service, "/predictions/another").await.status, 404);
}

#[tokio::test]
async fn a_failure_can_be_read() {
    let service = serve(Fake::engine(8));
    for (id, input, error) in [
        (
            "input",
            "data:application/json;base64,WyJhIl0",
            "Prediction failed: Prediction failed: Error: Incorrect padding",
        ),
        ("device", "fail", "Prediction failed: the device failed"),
    ] {
        send(&service, "PUT", &format!("/predictions/{id}"), ASYNC, texts(input)).await;
        wait_until("its end", async || find(&service, id).await["status"] == "failed").await;
        assert_eq!(find(&service, id).await["error"], error);
    }
}

#[tokio::test]
async fn a_put_that_runs_does_not_run_twice_and_one_that_ended_runs_again() {
    let (engine, fake, open) = Fake::gated_engine(8);
    let service = serve(engine);
    for _ in 0..3 {
        let answer = send(&service, "PUT", "/predictions/same", ASYNC, texts("odd")).await;
        assert_eq!(answer.status, 202);
    }
    drop(open);
    wait_until("its end", async || find(&service, "same").await["status"] == "succeeded").await;
    assert_eq!(*fake.scored.lock().unwrap(), ["odd"]);
    let again = send(&service, "PUT", "/predictions/same", &[], texts("odd")).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (200, &json!("succeeded")));
    assert_eq!(*fake.scored.lock().unwrap(), ["odd", "odd"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_at_the_same_moment_run_once() {
    let (engine, fake, open) = Fake::gated_engine(100);
    let service = serve(engine);
    let puts: Vec<_> = (0..20)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { send(&service, "PUT", "/predictions/same", ASYNC, texts("odd")).await })
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap().status, 202);
    }
    drop(open);
    wait_until("its end", async || find(&service, "same").await["status"] == "succeeded").await;
    assert_eq!(*fake.scored.lock().unwrap(), ["odd"]);
}

#[tokio::test]
async fn cancelling_takes_what_waits_out_of_the_queue() {
    let (engine, fake, open) = Fake::gated_engine(8);
    let service = serve(engine);
    send(&service, "PUT", "/predictions/first", ASYNC, texts("first")).await;
    wait_until("the first batch", async || fake.begun.load(Ordering::SeqCst) == 1).await;
    send(&service, "PUT", "/predictions/second", ASYNC, texts("second")).await;
    assert_eq!(cancel(&service, "second").await, 200);
    wait_until("its end", async || find(&service, "second").await["status"] == "canceled").await;
    assert_eq!(cancel(&service, "second").await, 404);
    drop(open);
    wait_until("the other", async || find(&service, "first").await["status"] == "succeeded").await;
    assert_eq!(*fake.scored.lock().unwrap(), ["first"]);
}

#[tokio::test]
async fn slots_are_bounded_and_come_back() {
    let (engine, _, open) = Fake::gated_engine(100);
    let service = serve_with(engine, concurrent(2));
    for id in ["a", "b"] {
        assert_eq!(send(&service, "PUT", &format!("/predictions/{id}"), ASYNC, texts("x")).await.status, 202);
    }
    let refused = send(&service, "POST", "/predictions", ASYNC, texts("x")).await;
    assert_eq!(refused.status, 409);
    assert_eq!(get(&service, "/health-check").await.json()["status"], "BUSY");
    drop(open);
    wait_until("a slot", async || get(&service, "/health-check").await.json()["status"] == "READY").await;
    assert_eq!(send(&service, "POST", "/predictions", &[], texts("x")).await.status, 200);
}

#[tokio::test]
async fn trainings_are_predictions() {
    let service = serve(Fake::engine(8));
    let answer = send(&service, "PUT", "/trainings/mine", &[], texts("odd")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("succeeded")));
    assert_eq!(get(&service, "/trainings/mine").await.status, 200);
    assert_eq!(send(&service, "POST", "/trainings/nope/cancel", &[], json!({})).await.status, 404);
}

#[tokio::test]
async fn until_the_model_is_there_the_server_says_so() {
    let model = Readiness::loading();
    let router = router(&Service::new(Options::default(), model.clone()), Authenticator::anonymous());
    let health = get(&router, "/health-check").await.json();
    assert_eq!((&health["status"], &health["setup"]["status"]), (&json!("STARTING"), &json!("starting")));
    let refused = send(&router, "POST", "/predictions", &[], texts("a")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["status"]), (503, &json!("failed")));
    model.serve(ServedModel::new(Fake::engine(8), VERSION.to_owned()));
    assert_eq!(get(&router, "/health-check").await.json()["status"], "READY");
    assert_eq!(send(&router, "POST", "/predictions", &[], texts("a")).await.status, 200);
}

#[tokio::test]
async fn a_client_can_ask_for_the_end() {
    let service = Service::new(Options::default(), Readiness::loading());
    let answer = send(&router(&service, Authenticator::anonymous()), "POST", "/shutdown", &[], json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    tokio::time::timeout(Duration::from_secs(5), service.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let service = Service::new(Options::default(), serving(Fake::engine(8)));
    let service = router(&service, Authenticator::new("secret".parse().ok().as_ref(), &[]).unwrap());
    for path in ["/predictions", "/shutdown", "/v1/predictions"] {
        for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
            let refused = send(&service, "POST", path, headers, texts("a")).await;
            assert_eq!(refused.status, 401, "{path}: {refused:?}");
            assert!(refused.json()["detail"].as_str().unwrap().contains("token"));
        }
    }
    let with = [("authorization", "Bearer secret")];
    assert_eq!(send(&service, "POST", "/predictions", &with, texts("a")).await.status, 200);
    for open in ["/health-check", "/"] {
        assert_eq!(get(&service, open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn ids_of_any_kind() {
    let service = serve(Fake::engine(8));
    let long = "x".repeat(10_000);
    for id in ["with%2Fslash", "%C3%A9%20%22", long.as_str()] {
        let answer = send(&service, "PUT", &format!("/predictions/{id}"), &[], texts("a")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(get(&service, &format!("/predictions/{id}")).await.status, 200);
    }
    assert_eq!(get(&service, "/predictions/with%2Fslash").await.json()["id"], "with/slash");
}
