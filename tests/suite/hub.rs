//! The hub's road for real: the binary against a small server that speaks the hub's routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::support::fixture;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ID: &str = "owner/mini-model";

/// What the server holds, and what it was asked.
#[derive(Default)]
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    token: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl Hub {
    /// A repository like the default model's: `vocab.txt`, and no `tokenizer.json`.
    fn new() -> Self {
        let folder = fixture("golden/old-sinusoidal");
        let files = ["config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"];
        let mut files: BTreeMap<_, _> =
            files.into_iter().map(|file| (file.to_owned(), std::fs::read(folder.join(file)).unwrap())).collect();
        files.insert("README.md".to_owned(), b"not ours to fetch".to_vec());
        Self { files, ..Self::default() }
    }

    fn log(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let expected = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        expected.is_none() || sent == expected.as_deref()
    }
}

/// A hub on a free port; it ends with the value.
struct Server {
    hub: Arc<Hub>,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(hub: Hub) -> Self {
        let hub = Arc::new(hub);
        let router = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", get(info))
            .route("/{owner}/{name}/resolve/{revision}/{file}", get(resolve))
            .route("/cdn/{file}", get(cdn))
            .with_state(Arc::clone(&hub));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { hub, address, runtime }
    }

    fn predict(&self, home: &Path, model: &str) -> Output {
        predict(home, model, &format!("http://{}", self.address), &[])
    }

    /// Ends the server; its port refuses from then on.
    fn stop(self) -> String {
        let endpoint = format!("http://{}", self.address);
        drop(self.runtime);
        endpoint
    }
}

type Asked = UrlPath<(String, String, String)>;

async fn info(State(hub): State<Arc<Hub>>, UrlPath((owner, name, revision)): Asked, headers: HeaderMap) -> Response {
    hub.log(format!("info {revision}"));
    if !hub.allows(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if format!("{owner}/{name}") != ID || !["main", "v1", COMMIT].contains(&revision.as_str()) {
        return (StatusCode::NOT_FOUND, "Repository not found").into_response();
    }
    let siblings: Vec<_> = hub.files.keys().map(|file| json!({"rfilename": file})).collect();
    axum::Json(json!({"id": ID, "sha": COMMIT, "siblings": siblings})).into_response()
}

async fn resolve(
    State(hub): State<Arc<Hub>>,
    UrlPath((_, _, revision, file)): UrlPath<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    hub.log(format!("file {file}"));
    if !hub.allows(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if revision != COMMIT {
        return StatusCode::NOT_FOUND.into_response();
    }
    let common = [("x-repo-commit", COMMIT.to_owned()), ("x-linked-etag", format!("\"etag-of-{file}\""))];
    // As the hub does, large files come from elsewhere.
    if file == "model.safetensors" {
        let elsewhere = [(header::LOCATION, format!("http://{}/cdn/{file}", headers["host"].to_str().unwrap()))];
        return (StatusCode::FOUND, common, elsewhere).into_response();
    }
    (common, range(&hub, &file, &headers)).into_response()
}

async fn cdn(State(hub): State<Arc<Hub>>, UrlPath(file): UrlPath<String>, headers: HeaderMap) -> Response {
    range(&hub, &file, &headers)
}

fn range(hub: &Hub, file: &str, headers: &HeaderMap) -> Response {
    let Some(bytes) = hub.files.get(file) else { return StatusCode::NOT_FOUND.into_response() };
    let asked = headers[header::RANGE].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
    let (start, end) = asked.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(bytes.len(), |end: usize| end + 1).min(bytes.len());
    let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], bytes[start..end].to_vec()).into_response()
}

fn predict(home: &Path, model: &str, endpoint: &str, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_textflight"))
        .args(["predict", "-i", "texts=[\"good\", \"bad\"]", "--model", model])
        .env_remove("HF_TOKEN")
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", endpoint)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("predicted_labels"));
    stderr
}

#[track_caller]
fn fails(output: &Output, expected: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in expected {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
}

const FETCHED: [&str; 4] =
    ["file config.json", "file tokenizer_config.json", "file vocab.txt", "file model.safetensors"];

#[test]
fn fetches_once_then_serves_from_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    let stderr = succeeds(&server.predict(home.path(), ID));
    assert!(stderr.contains(COMMIT), "the log names the commit: {stderr}");
    let mut asked = server.hub.asked();
    asked.dedup();
    assert_eq!(asked[0], "info main");
    assert_eq!(asked[1..], FETCHED, "each file, the largest last, and no other");

    succeeds(&server.predict(home.path(), ID));
    assert_eq!(server.hub.asked(), ["info main"], "nothing is fetched again");

    let endpoint = server.stop();
    for (model, environment) in
        [(ID.to_owned(), &[][..]), (ID.to_owned(), &[("HF_HUB_OFFLINE", "1")][..]), (format!("{ID}@{COMMIT}"), &[][..])]
    {
        let stderr = succeeds(&predict(home.path(), &model, &endpoint, environment));
        assert!(stderr.contains("serving the cached checkpoint") && stderr.contains(COMMIT), "{stderr}");
    }
    fails(&predict(home.path(), &format!("{ID}@v1"), &endpoint, &[]), &["cannot fetch owner/mini-model", "--model"]);
}

#[test]
fn a_refusal_is_not_taken_for_a_missing_network() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    succeeds(&server.predict(home.path(), &format!("{ID}@v1")));
    fails(&server.predict(home.path(), &format!("{ID}@v2")), &["owner/mini-model at v2", "404", "revision"]);
    fails(&server.predict(home.path(), "owner/other"), &["owner/other at main", "404", "check the name"]);
}

#[test]
fn a_private_repository_needs_its_token() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub { token: Some("secret".to_owned()), ..Hub::new() });
    fails(&server.predict(home.path(), ID), &["401", "token"]);
    let endpoint = format!("http://{}", server.address);
    succeeds(&predict(home.path(), ID, &endpoint, &[("HF_TOKEN", "secret")]));
}

#[test]
fn a_repository_without_weights_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut hub = Hub::new();
    hub.files.remove("model.safetensors");
    hub.files.insert("pytorch_model.bin".to_owned(), Vec::new());
    let server = Server::start(hub);
    fails(&server.predict(home.path(), ID), &["model.safetensors: not found"]);
}

#[test]
fn no_network_and_no_cache_is_an_error_before_any_port_opens() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Server::start(Hub::new()).stop();
    fails(&predict(home.path(), ID, &endpoint, &[]), &["cannot fetch owner/mini-model", "does not hold it", "--model"]);

    let serve = Command::new(env!("CARGO_BIN_EXE_textflight"))
        .args(["serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--model", ID])
        .env("HF_HOME", home.path())
        .env("HF_ENDPOINT", &endpoint)
        .output()
        .unwrap();
    fails(&serve, &["cannot fetch owner/mini-model"]);
    assert!(serve.stdout.is_empty(), "no ready line");
}
