//! The container image: its labels make it a Cog image, and say what the binary says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{binary, repository};

/// The instructions of the Dockerfile's last stage, each as one line.
fn last_stage() -> Vec<String> {
    let text = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    // BuildKit reads lines of up to 64 KiB.
    assert!(lines.iter().all(|line| line.len() < 64 * 1024));
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut instructions: Vec<String> = joined.lines().map(str::to_owned).collect();
    let start = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    instructions.split_off(start)
}

/// What stands behind this keyword, each time.
fn all(keyword: &str) -> Vec<String> {
    let keyword = format!("{keyword} ");
    last_stage().iter().filter_map(|line| line.strip_prefix(&keyword)).map(|rest| rest.trim().to_owned()).collect()
}

/// The labels, as a build for the CPU has them.
fn labels() -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for label in all("LABEL") {
        let (key, value) = parse(&label);
        assert_eq!(labels.insert(key.to_owned(), value), None, "{key} is there twice");
    }
    labels
}

/// `key='value'`: a shell takes what is between single quotes as it is, and JSON as we print it has none. Between double
/// quotes arguments are put in.
#[track_caller]
fn parse(label: &str) -> (&str, String) {
    let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("no value: {label}"));
    let between = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    // In Dockerfiles a backslash stays one within single quotes, but goes on to the next line at the end of one.
    assert!(!label.ends_with('\\'), "goes on: {label}");
    if let Some(value) = between('"').filter(|_| key == "run.cog.config") {
        return (key, value.replace("\\\"", "\"").replace("${HAS_GPU:-false}", "false"));
    }
    let value = between('\'').unwrap_or_else(|| panic!("not between single quotes: {label}"));
    assert!(!value.contains('\''), "a quote within the quotes: {label}");
    (key, value.to_owned())
}

#[track_caller]
fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_labels_are_those_of_a_cog_image() {
    let labels = labels();
    let keys: Vec<&str> = labels.keys().map(String::as_str).filter(|key| key.starts_with("run.cog.")).collect();
    assert_eq!(keys, ["run.cog.config", "run.cog.has_init", "run.cog.openapi_schema", "run.cog.version"]);
    let config = as_json(&labels["run.cog.config"]);
    assert_eq!(config["build"]["gpu"], json!(false));
    assert!(config["predict"].is_string(), "{config}");
    assert_eq!((&*labels["run.cog.has_init"], &*labels["run.cog.version"]), ("true", "0.23.1"));
}

#[test]
fn the_schema_is_the_one_that_we_serve() {
    let served = include_str!("../../src/cog/http/openapi.json");
    let label = &labels()["run.cog.openapi_schema"];
    assert_eq!(as_json(label), as_json(served));
    assert_eq!(*label, textflight::cog::http::openapi().unwrap(), "not what `textflight schema` prints");
}

#[test]
fn labels_read_as_an_engine_reads_them() {
    let config = ("run.cog.config", r#"{"a": "b=c"}"#.to_owned());
    assert_eq!(parse(r#"run.cog.config='{"a": "b=c"}'"#), config);
    assert_eq!(parse(r#"run.cog.config="{\"a\": \"b=c\"}""#), config);
    for wrong in ["key", "key=value", r#"key="value""#, "key='it's'", "key='a' \\"] {
        assert!(std::panic::catch_unwind(|| parse(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn the_labels_say_what_the_manifest_says() {
    let labels = labels();
    let label = |name: &str| labels[&format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!([label("title"), label("version")], [env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")]);
    let manifest = std::fs::read_to_string(repository("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("license = {:?}", label("licenses"))));
    assert!(env!("CARGO_PKG_DESCRIPTION").starts_with(label("description")));
}

/// Variables and arguments that the binary does not know would be ignored, or end it.
#[test]
fn what_the_image_sets_is_what_the_binary_takes() {
    let environment: Vec<String> = all("ENV").join(" ").split_whitespace().map(str::to_owned).collect();
    let value = |name: &str| environment.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    let help = binary().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for entry in &environment {
        let name = entry.split_once('=').unwrap().0;
        assert!(
            ["CUDA_CACHE_PATH", "HF_HOME", "PORT"].contains(&name) || help.contains(&format!("[env: {name}")),
            "{name}"
        );
    }
    assert_eq!(value("TEXTFLIGHT_MODEL"), Some("/model"));
    assert_eq!(value("TEXTFLIGHT_ALLOW_ANONYMOUS"), Some("true"), "who runs the image decides who reaches it");
    let (hub, driver, folders) = (value("HF_HOME").unwrap(), value("CUDA_CACHE_PATH").unwrap(), all("RUN").join(" "));
    assert!(folders.contains(&format!("install -d -o 10001 -g 10001 {hub} {driver}")), "{folders}");
    assert_eq!((all("USER"), all("STOPSIGNAL")), (vec!["10001:10001".to_owned()], vec!["SIGTERM".to_owned()]));
    let (ports, port) = (all("EXPOSE").join(" "), value("PORT").unwrap());
    assert!(ports.split(' ').any(|exposed| exposed == port), "{ports}");
    assert_eq!(all("CMD"), [r#"["textflight", "serve", "--flight", "0.0.0.0:8815"]"#]);
    assert!(ports.contains("8815"));
}

/// Older buildahs know stages by the names that stand there, and nothing of names made of arguments.
#[test]
fn names_of_stages_have_no_arguments_in_them() {
    let text = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    let stages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    for stage in &stages {
        let (image, name) = stage.split_once(" AS ").unwrap_or((stage, ""));
        assert!(image.starts_with("${") && image.ends_with('}'), "{stage}: part of the name is an argument");
        assert!(!name.contains('$'), "{stage}");
    }
    assert_eq!(stages.len(), 3);
}
