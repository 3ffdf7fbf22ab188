//! `textflight predict`, from its inputs to its output: here, and by a server that runs already.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use textflight::cog::command::{PredictRequest, Question, Remote};
use textflight::cog::http::Options;
use textflight::{Error, Result};
use tokio::net::TcpListener;

use super::client;
use crate::engines::Fake;
use crate::support::{closed_port, repository};

/// What the fake makes of `["odd", "even", 1]`: `[EMPTY]` has seven characters.
const EXPECTED: &str = "{\n  \"predicted_labels\": [\n    1,\n    0,\n    1\n  ],\n  \"confidences\": [\n    0.75,\n    \
    0.9998000264167786,\n    0.75\n  ]\n}\n";

fn request(input: &str) -> PredictRequest {
    PredictRequest { inputs: vec![input.to_owned()], ..PredictRequest::default() }
}

/// Listens for as long as the test's runtime runs.
async fn listen(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// A server that answers every prediction so.
async fn answering(status: StatusCode, body: Value) -> String {
    let answer = move || async move { (status, Json(body)) };
    format!("http://{}", listen(Router::new().route("/predictions", post(answer))).await)
}

/// Asks the server at `url`; the output goes nowhere.
async fn ask(url: &str, input: &str) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output.json");
    let prediction = Question::read(PredictRequest { output: Some(output.clone()), ..request(input) }).await?;
    let asked = prediction.ask(&Remote::new(&url.parse().unwrap(), None)?).await;
    assert_eq!(output.exists(), asked.is_ok());
    asked
}

#[tokio::test]
async fn a_file_in_a_file_out_here_and_by_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.json");
    std::fs::write(&input, r#"["odd", "even", 1]"#).unwrap();
    let here = folder.path().join("here.json");
    let named = PredictRequest { output: Some(here.clone()), ..request(&format!("texts=@{}", input.display())) };
    Question::read(named).await.unwrap().make(Fake::engine(8)).await.unwrap();
    assert_eq!(std::fs::read_to_string(here).unwrap(), EXPECTED);

    let service = client::serve(Fake::engine(8));
    let routes = Router::new().nest("/models/fake", service.clone()).merge(service);
    let address = listen(routes).await;
    for path in ["", "/", "/models/fake", "/models/fake/"] {
        let there = folder.path().join("there.json");
        let object = json!({ "texts": format!("@{}", input.display()) }).to_string();
        let object = PredictRequest { json: Some(object), output: Some(there.clone()), ..PredictRequest::default() };
        let server = Remote::new(&format!("http://{address}{path}").parse().unwrap(), None).unwrap();
        Question::read(object).await.unwrap().ask(&server).await.unwrap();
        assert_eq!(std::fs::read_to_string(&there).unwrap(), EXPECTED, "{path}");
        std::fs::remove_file(there).unwrap();
    }
}

#[tokio::test]
async fn what_fails_says_why() {
    let predict = async |input: &str| {
        let output = Some("never-written.json".into());
        Question::read(PredictRequest { output, ..request(input) }).await?.make(Fake::engine(8)).await
    };
    for (input, expected) in [
        ("prompt=a", "unknown input `prompt`; the only input is `texts`"),
        ("texts=data:application/json;base64,WyJhIl0", "not base64: Error: Incorrect padding"),
        ("texts=data:application/json;base64,/w==", "not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        (r#"texts=["\ud800"]"#, "element 0 of `texts` holds half of a surrogate pair"),
    ] {
        match predict(input).await {
            Err(Error::Invalid(message)) => assert!(message.contains(expected), "{input}: {message}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    let failed = predict("texts=fail").await;
    assert!(matches!(&failed, Err(Error::Failed(cause)) if cause == "the device failed"), "{failed:?}");
    assert!(!std::path::Path::new("never-written.json").exists());
}

#[tokio::test]
async fn what_fails_at_our_server_says_why() {
    let mut options = Options::default();
    options.limits.body_bytes = 1000;
    let url = format!("http://{}", listen(client::serve_with(Fake::engine(8), options)).await);
    let failed = ask(&url, "texts=fail").await.unwrap_err();
    assert!(failed.to_string().contains("Prediction failed: the device failed"), "{failed}");
    let failed = ask(&url, "texts=data:application/json;base64,abc").await.unwrap_err();
    assert!(failed.to_string().contains("Error: Incorrect padding"), "{failed}");
    let long = ask(&url, &format!("texts={}", "a".repeat(1000))).await.unwrap_err();
    assert!(matches!(&long, Error::TooLarge(message) if message.contains("413 Payload Too Large")), "{long:?}");
    let lost = ask(&format!("{url}/elsewhere"), "texts=a").await.unwrap_err();
    assert!(lost.to_string().starts_with(&format!("{url}/elsewhere/predictions: 404 Not Found")), "{lost}");
}

#[tokio::test]
async fn what_other_servers_answer() {
    use StatusCode as S;
    let detail = json!({ "detail": [{ "loc": ["body", "input", "texts"], "msg": "Field required" }] });
    for (status, body, expected) in [
        (S::OK, json!({ "status": "failed", "error": "no memory" }), "no memory"),
        (S::OK, json!({ "status": "canceled" }), "the prediction is canceled"),
        (S::ACCEPTED, json!({ "id": "a", "status": "starting" }), "the prediction is starting"),
        (S::OK, json!([1]), "the answer is no prediction"),
        (S::UNAUTHORIZED, json!({ "detail": "who is there?" }), "401 Unauthorized: who is there?; --api-token"),
        (S::SERVICE_UNAVAILABLE, json!({ "error": "loading" }), "503 Service Unavailable: loading"),
        (S::CONFLICT, json!({ "error": "At capacity" }), "409 Conflict: At capacity"),
        (S::UNPROCESSABLE_ENTITY, detail, "422 Unprocessable Entity: input.texts: Field required"),
    ] {
        let error = ask(&answering(status, body).await, "texts=a").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(matches!(error, Error::Invalid(_)), status == S::UNPROCESSABLE_ENTITY, "{error:?}");
    }
}

#[tokio::test]
async fn a_server_hears_the_token_and_who_asks() {
    let answer = |headers: HeaderMap, body: String| async move {
        let heard = |name| headers[name].to_str().unwrap().to_owned();
        let output = json!([heard("authorization"), heard("user-agent"), heard("content-type"), body]);
        Json(json!({ "status": "succeeded", "output": output }))
    };
    let address = listen(Router::new().route("/predictions", post(answer))).await;
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output.json");
    let server = Remote::new(&format!("http://{address}").parse().unwrap(), "hush".parse().ok().as_ref()).unwrap();
    let request = PredictRequest { output: Some(output.clone()), ..request("text=[\"\u{e9}\"]") };
    Question::read(request).await.unwrap().ask(&server).await.unwrap();
    let heard: Value = serde_json::from_str(&std::fs::read_to_string(output).unwrap()).unwrap();
    let agent = concat!("textflight/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        heard,
        json!(["Bearer hush", agent, "application/json", "{\"input\":{\"texts\":\"[\\\"\u{e9}\\\"]\"}}"])
    );
}

/// The binary itself, with these variables alone and this on its standard input.
fn run(arguments: &[&str], variables: &[(&str, &str)], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_textflight"));
    command.arg("predict").args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn check_run(arguments: &[&str], variables: &[(&str, &str)], stdin: &str, code: i32, expected: &str) {
    let output = tokio::task::block_in_place(|| run(arguments, variables, stdin));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?} {variables:?}: {stderr}");
    if code == 0 {
        assert_eq!((&*stdout, &*stderr), (expected, ""), "{arguments:?} {variables:?}");
    } else {
        assert!(stderr.contains(expected) && stdout.is_empty(), "{arguments:?} {variables:?}: {stdout}{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_variables() {
    let url = format!("http://{}", listen(client::serve(Fake::engine(8))).await);
    let texts = r#"texts=["odd", "even", 1]"#;
    let object = json!({ "texts": r#"["odd", "even", 1]"# }).to_string();
    let input = &["-i", texts][..];
    // Inputs, wherever they come from.
    check_run(&["--url", &url, "-i", texts], &[], "", 0, EXPECTED);
    check_run(&["--url", &url, "--json", &object], &[], "", 0, EXPECTED);
    check_run(&["--url", &url, "--json", "-"], &[], &object, 0, EXPECTED);
    check_run(&["--json", "@-"], &[("TEXTFLIGHT_URL", &url)], &object, 0, EXPECTED);
    // What is typed goes first.
    check_run(input, &[("TEXTFLIGHT_URL", &url), ("TEXTFLIGHT_JSON", "true")], "", 0, EXPECTED);
    let model = repository("data/sst2-mini");
    let model = ("TEXTFLIGHT_MODEL", model.to_str().unwrap());
    check_run(
        &["--json", &object],
        &[("TEXTFLIGHT_URL", &url), ("TEXTFLIGHT_INPUT", "texts=a"), model],
        "",
        0,
        EXPECTED,
    );
    // Refused before anything is asked or loaded.
    let wrong = [("TEXTFLIGHT_URL", &*url)];
    check_run(&[], &[wrong[0], ("TEXTFLIGHT_JSON", "true")], "", 2, "--json holds true or false; expected");
    check_run(&["--json", &object, "-i", texts], &wrong, "", 2, "not by both");
    check_run(&["--model", "data/sst2-mini", "-i", texts], &wrong, "", 2, "--model is for a model here");
    check_run(&["--url", "localhost:5000", "-i", texts], &[], "", 2, "expected http://HOST:PORT");
    check_run(&["-i", "prompt=a", "--model", "no/such@model"], &[], "", 2, "unknown input `prompt`");
    // Failed.
    check_run(&["-i", "texts=fail"], &wrong, "", 1, "the device failed");
    let closed = closed_port();
    let gone = format!("http://{}", closed.local_addr().unwrap());
    let refused = format!("error: {gone}/predictions: cannot connect: ");
    check_run(&["--url", &gone, "-i", texts], &[], "", 1, &refused);
}
