//! The container image: its labels make it a Cog image, and say what the binary says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::repository;

/// The labels of the Dockerfile's last stage, and of the stage for the CPU that it stands on.
fn labels() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    let mut stage = "";
    let mut labels = BTreeMap::new();
    for line in text.lines() {
        if let Some(from) = line.strip_prefix("FROM ") {
            stage = from.split_once(" AS ").map_or("", |(_, name)| name);
        }
        // BuildKit reads lines of up to 64 KiB.
        assert!(line.len() < 64 * 1024, "a line of {} bytes", line.len());
        if let Some(label) = line.strip_prefix("LABEL ").filter(|_| ["", "runtime-0"].contains(&stage)) {
            let (key, value) = parse(label);
            assert_eq!(labels.insert(key.to_owned(), value.to_owned()), None, "{key} is there twice");
        }
    }
    labels
}

/// `key='value'`: a shell takes what is between single quotes as it is, and JSON as we print it has none.
#[track_caller]
fn parse(label: &str) -> (&str, &str) {
    let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("no value: {label}"));
    let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    let value = value.unwrap_or_else(|| panic!("not between single quotes: {label}"));
    assert!(!value.contains('\''), "a quote within the quotes: {label}");
    // In Dockerfiles a backslash stays one within single quotes, but goes on to the next line at the end of one.
    assert!(!label.ends_with('\\'), "goes on: {label}");
    (key, value)
}

#[track_caller]
fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_labels_are_those_of_a_cog_image() {
    let labels = labels();
    let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
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
    assert_eq!(parse(r#"run.cog.config='{"a": "b=c"}'"#), ("run.cog.config", r#"{"a": "b=c"}"#));
    for wrong in ["key", "key=value", r#"key="value""#, "key='it's'", "key='a' \\"] {
        assert!(std::panic::catch_unwind(|| parse(wrong)).is_err(), "{wrong}");
    }
}
