//! Replicate's API, where the real client's tests do not reach.

use axum::Router;
use serde_json::{Value, json};
use textflight::cog::http::Options;

use super::client::{Answer, VERSION, concurrent, get, send, serve, serve_loading, serve_with, wait_until};
use super::receiver::Receiver;
use crate::engines::Fake;

async fn create(service: &Router, headers: &[(&str, &str)], body: Value) -> Answer {
    send(service, "POST", "/v1/predictions", headers, body).await
}

fn request(texts: &str) -> Value {
    json!({ "version": VERSION, "input": { "texts": texts } })
}

#[track_caller]
pub fn check_problem(answer: &Answer, status: u16, detail: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.content_type.as_deref(), Some("application/problem+json"));
    let problem: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    assert!(problem["title"].is_string() && problem["type"].is_string());
}

#[tokio::test]
async fn a_prediction_that_is_waited_for() {
    let service = serve(Fake::engine(8));
    let answer = create(&service, &[("prefer", "wait"), ("host", "example.org:1")], request("odd")).await;
    assert_eq!(answer.status, 201);
    let prediction = answer.json();
    assert_eq!(prediction["status"], "succeeded");
    assert_eq!(prediction["output"], json!({ "predicted_labels": [1], "confidences": [0.75] }));
    assert_eq!((&prediction["model"], &prediction["version"]), (&json!("textflight/sentiment"), &json!(VERSION)));
    assert_eq!(prediction["error"], Value::Null);
    let url = prediction["urls"]["get"].as_str().unwrap().strip_prefix("http://example.org:1").unwrap();
    assert_eq!(get(&service, url).await.json()["input"], json!({ "texts": "odd" }));
}

#[tokio::test]
async fn a_wait_that_runs_out_answers_starting() {
    let (engine, _, open) = Fake::gated_engine(8);
    let service = serve(engine);
    for prefer in [&[("prefer", "wait=1")][..], &[]] {
        let answer = create(&service, prefer, request("odd")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (201, &json!("starting")));
    }
    let id = create(&service, &[], request("odd")).await.json()["id"].as_str().unwrap().to_owned();
    let canceled = send(&service, "POST", &format!("/v1/predictions/{id}/cancel"), &[], json!({})).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["status"]), (200, &json!("canceled")));
    drop(open);
    wait_until("the others", async || {
        let list = get(&service, "/v1/predictions").await.json();
        list["results"].as_array().unwrap().iter().filter(|p| p["status"] == "succeeded").count() == 2
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_a_problem() {
    let service = serve_with(Fake::engine(8), concurrent(1));
    check_problem(&create(&service, &[], json!({ "input": {} })).await, 422, "version is required");
    check_problem(&create(&service, &[], json!({ "version": "abc", "input": {} })).await, 422, VERSION);
    let other = format!("someone/else:{VERSION}");
    check_problem(&create(&service, &[], json!({ "version": other })).await, 422, "textflight/sentiment");
    check_problem(&create(&service, &[], json!({ "version": VERSION })).await, 422, "- input.texts: Field required");
    check_problem(&create(&service, &[], json!({ "version": 1 })).await, 422, "version");
    for path in ["/v1/predictions/nope", "/v1/nope", "/v1/models/a/b", "/v1/models/a/b/versions"] {
        check_problem(&get(&service, path).await, 404, "");
    }
    let version = "/v1/models/textflight/sentiment/versions/abc";
    check_problem(&get(&service, version).await, 404, VERSION);
    check_problem(&send(&service, "POST", "/v1/models/a/b/predictions", &[], json!({})).await, 404, "a/b");
    check_problem(&get(&service, "/v1/predictions?cursor=gone").await, 400, "cursor");
}

#[tokio::test]
async fn a_full_server_asks_to_come_again() {
    let (engine, _, _open) = Fake::gated_engine(8);
    let service = serve_with(engine, concurrent(1));
    create(&service, &[], request("a")).await;
    check_problem(&create(&service, &[], request("a")).await, 429, "At capacity");
}

#[tokio::test]
async fn the_model_and_its_version() {
    let options = Options { models: vec!["me/mine".parse().unwrap()].into(), ..Options::default() };
    let service = serve_with(Fake::engine(8), options);
    let model = get(&service, "/v1/models/me/mine").await.json();
    assert_eq!(model["latest_version"]["id"], VERSION);
    let version = get(&service, &format!("/v1/models/me/mine/versions/{VERSION}")).await.json();
    assert_eq!(version["cog_version"], "0.23.1");
    assert_eq!(version["openapi_schema"]["openapi"], "3.0.2");
    let versions = get(&service, "/v1/models/me/mine/versions").await.json();
    assert_eq!(versions["results"], json!([version]));
    let answer = send(&service, "POST", "/v1/models/me/mine/predictions", &[("prefer", "wait")], request("odd")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["model"]), (201, &json!("me/mine")));
    let named = json!({ "version": format!("me/mine:{VERSION}"), "input": { "texts": "odd" } });
    assert_eq!(create(&service, &[("prefer", "wait")], named).await.json()["status"], "succeeded");
}

/// The original by the name and version of its own manual, from a server without options.
#[tokio::test]
async fn the_original_s_callers_need_no_change() {
    let service = serve(Fake::engine(8));
    let model = "halstonblim/distilbert-base-uncased-finetuned-sst-2-english";
    let version = "3a88ff44062350c53b0c1f00b9a91475643ecab79bd0c2a292cf2a8cf2cfb897";
    for reference in [version, model, &format!("{model}:{version}")] {
        let asked = json!({ "version": reference, "input": { "texts": "odd" } });
        let prediction = create(&service, &[("prefer", "wait")], asked).await.json();
        assert_eq!(prediction["status"], "succeeded", "{prediction}");
        assert_eq!((&prediction["model"], &prediction["version"]), (&json!(model), &json!(version)));
        let id = prediction["id"].as_str().unwrap();
        assert_eq!(get(&service, &format!("/v1/predictions/{id}")).await.json()["version"], version);
    }
    assert_eq!(get(&service, &format!("/v1/models/{model}")).await.json()["latest_version"]["id"], version);
    let versions = get(&service, &format!("/v1/models/{model}/versions")).await.json();
    assert_eq!(get(&service, &format!("/v1/models/{model}/versions/{version}")).await.json(), versions["results"][0]);
    check_problem(&get(&service, &format!("/v1/models/{model}/versions/{VERSION}")).await, 404, version);
}

#[tokio::test]
async fn models_and_deployments_are_listed() {
    let service = serve(Fake::engine(8));
    for (path, known) in [("models", "latest_version"), ("deployments", "current_release")] {
        let list = get(&service, &format!("/v1/{path}")).await.json();
        let names: Vec<&Value> = list["results"].as_array().unwrap().iter().map(|found| &found["owner"]).collect();
        assert_eq!(names, ["textflight", "halstonblim"]);
        let one = get(&service, &format!("/v1/{path}/textflight/sentiment")).await.json();
        assert_eq!(one, list["results"][0]);
        assert!(one[known].is_object(), "{one}");
        check_problem(&get(&service, &format!("/v1/{path}/a/b")).await, 404, "a/b");
        let path = format!("/v1/{path}/textflight/sentiment/predictions");
        let made = send(&service, "POST", &path, &[("prefer", "wait")], request("odd")).await;
        assert_eq!((made.status.as_u16(), &made.json()["status"]), (201, &json!("succeeded")));
    }
    check_problem(&send(&service, "PUT", "/v1/predictions", &[], json!({})).await, 405, "method");
}

#[tokio::test]
async fn a_model_that_loads_asks_to_come_again() {
    let service = serve_loading();
    check_problem(&create(&service, &[], request("odd")).await, 503, "Setup has not finished");
    let model = get(&service, "/v1/models/textflight/sentiment").await.json();
    assert_eq!(model["latest_version"], Value::Null);
    let versions = get(&service, "/v1/models/textflight/sentiment/versions").await.json();
    assert_eq!(versions["results"], json!([]));
}

#[tokio::test]
async fn the_older_webhook_hears_of_the_end_alone() {
    let mut receiver = Receiver::start().await;
    let service = serve(Fake::engine(8));
    let mut request = request("odd");
    request["webhook_completed"] = json!(format!("http://{}/end", receiver.address));
    create(&service, &[], request).await;
    assert_eq!(receiver.next().await.json["status"], "succeeded");
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn the_list_has_pages() {
    let service = serve(Fake::engine(8));
    for _ in 0..150 {
        create(&service, &[("prefer", "wait")], request("a")).await;
    }
    let first = get(&service, "/v1/predictions").await.json();
    let next = first["next"].as_str().unwrap().strip_prefix("http://localhost").unwrap();
    let second = get(&service, next).await.json();
    let ids = |page: &Value| -> Vec<String> {
        page["results"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids(&first).len(), ids(&second).len(), &second["next"]), (100, 50, &Value::Null));
    let mut all = [ids(&first), ids(&second)].concat();
    assert!(all.is_sorted_by(|a, b| a > b), "the newest come first");
    all.dedup();
    assert_eq!(all.len(), 150);
}
