//! The hub's road for real: the binary against a small server that speaks the hub's routes.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use self::server::{Hub, Server};
use crate::support::{binary, closed_port, fixture};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ID: &str = "owner/mini-model";

fn predict(home: &Path, model: &str, endpoint: &str, environment: &[(&str, &str)]) -> Output {
    binary()
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

    drop(server);
    let closed = closed_port();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
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
    let output = binary()
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
    let closed = closed_port();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    fails(&predict(home.path(), ID, &endpoint, &[]), &["cannot fetch owner/mini-model", "does not hold it", "--model"]);

    let serve = binary()
        .args(["serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--model", ID])
        .env("HF_HOME", home.path())
        .env("HF_ENDPOINT", &endpoint)
        .output()
        .unwrap();
    fails(&serve, &["cannot fetch owner/mini-model"]);
    assert!(serve.stdout.is_empty(), "no ready line");
}
