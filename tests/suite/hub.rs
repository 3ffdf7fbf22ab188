//! The hub's road for real: the binary against a small server that speaks the hub's routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::json;

use crate::support::fixture;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ID: &str = "owner/mini-model";

/// What the server holds, how it behaves, and what it was asked.
#[derive(Default)]
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    token: Option<String>,
    /// What every question for the revision is answered with.
    refusal: Mutex<Option<(u16, &'static str)>>,
    /// Questions for the revision that fail before one is answered.
    unwell: AtomicUsize,
    /// A large file's answer ends after so many bytes, whatever it promised.
    cut: AtomicUsize,
    /// Ranges are not known: every answer begins at the first byte.
    is_plain: bool,
    /// A page of HTML is all that comes.
    is_page: bool,
    asked: Mutex<Vec<String>>,
}

impl Hub {
    /// A repository like the default model's: `vocab.txt`, and no `tokenizer.json`.
    fn new() -> Self {
        Self::of("golden/old-sinusoidal", &["config.json", "tokenizer_config.json", "vocab.txt", WEIGHTS])
    }

    fn of(checkpoint: &str, files: &[&str]) -> Self {
        let folder = fixture(checkpoint);
        let read = |file: &&str| ((*file).to_owned(), std::fs::read(folder.join(file)).unwrap());
        let mut files: BTreeMap<_, _> = files.iter().map(read).collect();
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

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn predict(&self, home: &Path, model: &str) -> Output {
        predict(home, model, &self.endpoint(), &[])
    }

    /// Ends the server; its port refuses from then on.
    fn stop(self) -> String {
        let endpoint = self.endpoint();
        drop(self.runtime);
        endpoint
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

fn predict(home: &Path, model: &str, endpoint: &str, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_textflight"))
        .args(["predict", "-i", "texts=[\"good\", \"bad\"]", "--model", model])
        .env("HOME", home)
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

const WEIGHTS: &str = "model.safetensors";
const FETCHED: [&str; 4] =
    ["file config.json", "file tokenizer_config.json", "file vocab.txt", "file model.safetensors"];

#[test]
fn fetches_once_then_serves_from_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    let stderr = succeeds(&server.predict(home.path(), ID));
    assert!(stderr.contains(COMMIT), "the log names the commit: {stderr}");
    let asked = server.hub.asked();
    assert_eq!(asked[0], "info main");
    assert_eq!(asked[1..], FETCHED, "each file, the largest last, and no other");

    succeeds(&server.predict(home.path(), ID));
    assert_eq!(server.hub.asked(), ["info main"], "nothing is fetched again");
    let stderr = succeeds(&server.predict(home.path(), &format!("{ID}@{COMMIT}")));
    assert!(stderr.contains(COMMIT), "{stderr}");
    assert!(server.hub.asked().is_empty(), "a commit that is there needs no hub");

    let endpoint = server.stop();
    for environment in [&[][..], &[("HF_HUB_OFFLINE", "ON")][..], &[("TRANSFORMERS_OFFLINE", "yes")][..]] {
        let stderr = succeeds(&predict(home.path(), ID, &endpoint, environment));
        assert!(stderr.contains("serving the cached checkpoint") && stderr.contains(COMMIT), "{stderr}");
    }
    fails(&predict(home.path(), &format!("{ID}@v1"), &endpoint, &[]), &["cannot fetch owner/mini-model", "--model"]);
}

#[test]
fn shards_are_fetched_with_their_index() {
    let shards = [1, 2, 3].map(|i| format!("model-0000{i}-of-00003.safetensors"));
    let mut files = vec!["config.json", "tokenizer.json", "model.safetensors.index.json"];
    files.extend(shards.iter().map(String::as_str));
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::of("golden/sharded-gamma", &files));
    succeeds(&server.predict(home.path(), ID));
    let asked = server.hub.asked();
    assert_eq!(asked[asked.len() - 3..], shards.map(|shard| format!("file {shard}")), "{asked:?}");
    succeeds(&server.predict(home.path(), &format!("{ID}@{COMMIT}")));
    assert!(server.hub.asked().is_empty());

    // With a shard gone, the commit is not whole: it is fetched again, or said to be missing.
    let shard = snapshot(home.path()).join("model-00002-of-00003.safetensors");
    std::fs::remove_file(shard).unwrap();
    let offline = predict(home.path(), ID, &server.endpoint(), &[("HF_HUB_OFFLINE", "1")]);
    fails(&offline, &["model-00002-of-00003.safetensors: not found", "the hub was not asked"]);
    succeeds(&server.predict(home.path(), &format!("{ID}@{COMMIT}")));
}

fn repository(home: &Path) -> PathBuf {
    home.join("hub/models--owner--mini-model")
}

fn snapshot(home: &Path) -> PathBuf {
    repository(home).join("snapshots").join(COMMIT)
}

/// Every path below a folder, with when it was changed.
fn tree(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::symlink_metadata(&path).unwrap();
        if data.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path, data.modified().unwrap());
    }
    found
}

/// Permissions stop nobody where tests run as root; that nothing is written is seen everywhere.
#[test]
fn a_complete_cache_may_be_read_only() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    succeeds(&server.predict(home.path(), ID));
    let before = tree(home.path());
    for path in before.keys().filter(|path| !path.is_symlink()) {
        let mut permissions = std::fs::metadata(path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(path, permissions).unwrap();
    }
    for model in [ID.to_owned(), format!("{ID}@{COMMIT}")] {
        succeeds(&server.predict(home.path(), &model));
        succeeds(&predict(home.path(), &model, "http://127.0.0.1:1", &[]));
    }
    // Another name of the commit is not remembered where that cannot be, and serves all the same.
    succeeds(&server.predict(home.path(), &format!("{ID}@v1")));
    let mut after = tree(home.path());
    after.retain(|path, _| before.contains_key(path) && !path.ends_with("refs"));
    assert!(after.iter().all(|(path, time)| before[path] == *time), "{after:?}");
    #[cfg(unix)]
    for path in before.keys().filter(|path| path.is_dir()) {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// What `huggingface_hub` has fetched: some files, and that others are not there.
#[test]
fn a_cache_without_a_listing() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(snapshot(home.path())).unwrap();
    for file in ["config.json", "tokenizer_config.json", "vocab.txt", WEIGHTS] {
        std::fs::copy(fixture("golden/old-sinusoidal").join(file), snapshot(home.path()).join(file)).unwrap();
    }
    for model in [ID.to_owned(), format!("{ID}@v1")] {
        let revision = model.strip_prefix(&format!("{ID}@")).unwrap_or("main").to_owned();
        std::fs::create_dir_all(repository(home.path()).join("refs")).unwrap();
        std::fs::write(repository(home.path()).join("refs").join(revision), format!("{COMMIT}\n")).unwrap();
        succeeds(&predict(home.path(), &model, "http://127.0.0.1:1", &[]));
    }
    let cache = home.path().join("hub");
    let elsewhere = [("HF_HUB_CACHE", cache.to_str().unwrap()), ("HF_HOME", "/nowhere"), ("HF_HUB_OFFLINE", "1")];
    succeeds(&predict(home.path(), ID, "http://127.0.0.1:1", &elsewhere));
}

#[test]
fn a_download_that_breaks_off_is_taken_up_where_it_was() {
    for is_plain in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let hub = Hub { is_plain, ..Hub::new() };
        let length = hub.files[WEIGHTS].len();
        hub.cut.store(length / 2 + 1, Ordering::Relaxed);
        let server = Server::start(hub);
        let output = server.predict(home.path(), ID);
        if is_plain {
            // Never more than the half: it is given up, and nothing is left that looks like a file.
            fails(&output, &["model.safetensors", "from the hub"]);
            let blobs = std::fs::read_dir(repository(home.path()).join("blobs")).unwrap();
            assert_eq!(blobs.count(), 3, "the small files");
            assert!(!snapshot(home.path()).join(WEIGHTS).exists());
            server.hub.cut.store(0, Ordering::Relaxed);
            succeeds(&server.predict(home.path(), ID));
        } else {
            succeeds(&output);
            assert!(server.hub.asked().contains(&format!("{WEIGHTS} from {}", length / 2 + 1)));
        }
        let fetched = std::fs::read(snapshot(home.path()).join(WEIGHTS)).unwrap();
        assert!(fetched == server.hub.files[WEIGHTS], "every byte once, in its place");
    }
}

#[test]
fn a_hub_that_is_unwell_is_asked_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::new();
    hub.unwell.store(2, Ordering::Relaxed);
    let server = Server::start(hub);
    succeeds(&server.predict(home.path(), ID));
    assert_eq!(server.hub.asked()[..3], ["info main", "info main", "info main"]);

    // Where the cache has it, nobody waits.
    server.hub.unwell.store(1, Ordering::Relaxed);
    let stderr = succeeds(&server.predict(home.path(), ID));
    assert!(stderr.contains("503") && stderr.contains("serving the cached checkpoint"), "{stderr}");
    assert_eq!(server.hub.asked(), ["info main"]);
}

#[test]
fn a_refusal_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    fails(&server.predict(home.path(), "owner/other"), &["owner/other at main", "404", "check the name"]);
    for (refusal, expected) in [
        ((401, ""), ["401", "set HF_TOKEN"]),
        ((403, "GatedRepo"), ["gated", "ask for access"]),
        ((403, ""), ["403", "set HF_TOKEN"]),
    ] {
        *server.hub.refusal.lock().unwrap() = Some(refusal);
        fails(&server.predict(home.path(), ID), &expected);
    }
}

/// As with `huggingface_hub`: who is not let in has what was fetched before, but a revision that is gone is gone.
#[test]
fn what_the_cache_holds_serves_who_is_not_let_in() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    succeeds(&server.predict(home.path(), &format!("{ID}@v1")));
    *server.hub.refusal.lock().unwrap() = Some((401, ""));
    let stderr = succeeds(&server.predict(home.path(), &format!("{ID}@v1")));
    assert!(stderr.contains("401") && stderr.contains("serving the cached checkpoint"), "{stderr}");
    *server.hub.refusal.lock().unwrap() = None;
    fails(&server.predict(home.path(), &format!("{ID}@v2")), &["owner/mini-model at v2", "404", "no revision v2"]);
    *server.hub.refusal.lock().unwrap() = Some((404, "RevisionNotFound"));
    fails(&server.predict(home.path(), &format!("{ID}@v1")), &["no revision v1"]);
}

#[test]
fn a_private_repository_needs_its_token() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub { token: Some("secret".to_owned()), ..Hub::new() });
    let endpoint = server.endpoint();
    let hidden = [("HF_TOKEN", "secret"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
    fails(&predict(home.path(), ID, &endpoint, &hidden), &["401", "token"]);
    let wrong = predict(home.path(), ID, &endpoint, &[("HF_TOKEN", "hidden-word")]);
    fails(&wrong, &["401", "the token does not open owner/mini-model"]);
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains("hidden-word"));
    let broken = predict(home.path(), ID, &endpoint, &[("HF_TOKEN", "hidden\u{1}word")]);
    fails(&broken, &["the token holds characters"]);

    succeeds(&predict(home.path(), ID, &endpoint, &[("HF_TOKEN", "secret")]));
    assert!(!server.hub.asked().contains(&"the token left the hub".to_owned()));
    // What a login leaves.
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "secret\n").unwrap();
    succeeds(&server.predict(home.path(), ID));
}

#[test]
fn a_repository_that_was_renamed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub::new());
    succeeds(&server.predict(home.path(), "owner/old-name"));
}

#[test]
fn what_answers_is_no_hub() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(Hub { is_page: true, ..Hub::new() });
    fails(&server.predict(home.path(), ID), &["does not answer as a hub does", "HF_ENDPOINT", "does not hold it"]);
    fails(&predict(home.path(), ID, "no address", &[]), &["HF_ENDPOINT is \"no address\""]);
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    let home = tempfile::tempdir().unwrap();
    for (name, value) in [("HF_HUB_ETAG_TIMEOUT", "soon"), ("SSL_CERT_FILE", "/no/such/file")] {
        let output = predict(home.path(), ID, "http://127.0.0.1:1", &[(name, value)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(name) && stderr.contains(value), "{stderr}");
    }
}

#[test]
fn without_a_variable_for_a_home_nothing_panics() {
    let output = Command::new(env!("CARGO_BIN_EXE_textflight"))
        .args(["predict", "-i", "texts=[\"good\"]", "--model", ID])
        .env_clear()
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_repository_without_weights_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut hub = Hub::new();
    hub.files.remove(WEIGHTS);
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
