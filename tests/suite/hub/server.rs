//! A small server that speaks the hub's routes, and says what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::json;

use super::{COMMIT, ID, WEIGHTS, predict};
use crate::support::fixture;

/// What the server holds, how it behaves, and what it was asked.
#[derive(Default)]
pub struct Hub {
    pub files: BTreeMap<String, Vec<u8>>,
    pub token: Option<String>,
    /// What every question for the revision is answered with.
    pub refusal: Mutex<Option<(u16, &'static str)>>,
    /// Questions for the revision that fail before one is answered.
    pub unwell: AtomicUsize,
    /// A large file's answer ends after so many bytes, whatever it promised.
    pub cut: AtomicUsize,
    /// Ranges are not known: every answer begins at the first byte.
    pub is_plain: bool,
    /// A page of HTML is all that comes.
    pub is_page: bool,
    pub asked: Mutex<Vec<String>>,
}

impl Hub {
    /// A repository like the default model's: `vocab.txt`, and no `tokenizer.json`.
    pub fn new() -> Self {
        Self::of("golden/old-sinusoidal", &["config.json", "tokenizer_config.json", "vocab.txt", WEIGHTS])
    }

    pub fn of(checkpoint: &str, files: &[&str]) -> Self {
        let folder = fixture(checkpoint);
        let read = |file: &&str| ((*file).to_owned(), std::fs::read(folder.join(file)).unwrap());
        let mut files: BTreeMap<_, _> = files.iter().map(read).collect();
        files.insert("README.md".to_owned(), b"not ours to fetch".to_vec());
        Self { files, ..Self::default() }
    }

    fn log(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let expected = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        expected.is_none() || sent == expected.as_deref()
    }
}

/// A hub on a free port; it ends with the value.
pub struct Server {
    pub hub: Arc<Hub>,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub fn start(hub: Hub) -> Self {
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
        Self { hub, address, _runtime: runtime }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn predict(&self, home: &Path, model: &str) -> Output {
        predict(home, model, &self.endpoint(), &[])
    }
}

type Asked = UrlPath<(String, String, String)>;

async fn info(State(hub): State<Arc<Hub>>, UrlPath((owner, name, revision)): Asked, headers: HeaderMap) -> Response {
    hub.log(format!("info {revision}"));
    if hub.is_page {
        return Html("<p>Log in to the network").into_response();
    }
    if hub.unwell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some((status, code)) = *hub.refusal.lock().unwrap() {
        return (StatusCode::from_u16(status).unwrap(), [("x-error-code", code)]).into_response();
    }
    if !hub.allows(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if (owner.as_str(), name.as_str()) == ("owner", "old-name") {
        let renamed = format!("/api/models/{ID}/revision/{revision}");
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, renamed)]).into_response();
    }
    if format!("{owner}/{name}") != ID {
        return (StatusCode::NOT_FOUND, "Repository not found").into_response();
    }
    if !["main", "v1", COMMIT].contains(&revision.as_str()) {
        return (StatusCode::NOT_FOUND, [("x-error-code", "RevisionNotFound")]).into_response();
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
    // As the hub does, large files come from elsewhere: to a client, this is another host.
    if is_large(&file) {
        let port = headers["host"].to_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let elsewhere = [(header::LOCATION, format!("http://localhost:{port}/cdn/{file}"))];
        return (StatusCode::FOUND, common, elsewhere).into_response();
    }
    (common, bytes_of(&hub, &file, &headers)).into_response()
}

fn is_large(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == "safetensors")
}

async fn cdn(State(hub): State<Arc<Hub>>, UrlPath(file): UrlPath<String>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        hub.log("the token left the hub".to_owned());
    }
    bytes_of(&hub, &file, &headers)
}

/// From the byte that is asked for to the end, or to where the connection is cut.
fn bytes_of(hub: &Hub, file: &str, headers: &HeaderMap) -> Response {
    let Some(bytes) = hub.files.get(file) else { return StatusCode::NOT_FOUND.into_response() };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let start = range.filter(|_| !hub.is_plain).map_or(0, |range| range.split('-').next().unwrap().parse().unwrap());
    if start > 0 {
        hub.log(format!("{file} from {start}"));
    }
    let rest = bytes[start..].to_vec();
    let length = [(header::CONTENT_LENGTH, rest.len().to_string())];
    let cut = hub.cut.load(Ordering::Relaxed);
    let body = if is_large(file) && cut > 0 && rest.len() > cut {
        let half = Bytes::from(rest[..cut].to_vec());
        // What came must have left before the connection breaks.
        let broken = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(std::io::Error::other("cut"))
        };
        let chunks = futures::stream::once(async { Ok(half) });
        Body::from_stream(futures::StreamExt::chain(chunks, futures::stream::once(broken)))
    } else {
        Body::from(rest)
    };
    if hub.is_plain || range.is_none() {
        return (length, body).into_response();
    }
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    (StatusCode::PARTIAL_CONTENT, length, [(header::CONTENT_RANGE, range)], body).into_response()
}
