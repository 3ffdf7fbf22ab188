//! The input `texts`, as the arguments spell it.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::PredictRequest;
use crate::cog::MAX_INPUT_BYTES;
use crate::error::{Error, Result};

/// The spellings of the one input that the predictor has; the original's own manual uses both.
const NAMES: [&str; 2] = ["texts", "text"];
/// The longest file that fits an input as base64.
const MAX_FILE_BYTES: usize = MAX_INPUT_BYTES / 4 * 3;

/// The value of the input `texts`.
pub(super) fn texts(request: &PredictRequest) -> Result<String> {
    match (&request.json, &*request.inputs) {
        (None, inputs) => named(inputs),
        (Some(json), []) => object(json),
        (Some(_), _) => Err(Error::Invalid("inputs come by -i or by --json, not by both".to_owned())),
    }
}

/// The one input of `name=value` arguments.
fn named(inputs: &[String]) -> Result<String> {
    let input = only(inputs)?;
    let Some((name, value)) = input.split_once('=') else {
        return Err(Error::Invalid(format!("input {input:?} has no value: write texts=VALUE or texts=@FILE")));
    };
    known(name)?;
    file_or_text(unquoted(value))
}

/// The one input of a JSON object: `json` itself, or what the file or the standard input that it names holds.
fn object(json: &str) -> Result<String> {
    let inputs = match json.strip_prefix('@').unwrap_or(json) {
        "-" => parse("standard input", &read_bounded("standard input", stdin().lock(), MAX_INPUT_BYTES)?)?,
        path if json.starts_with('@') => {
            let path = Path::new(path);
            parse(&path.display().to_string(), &open_bounded(path, MAX_INPUT_BYTES)?)?
        }
        json => parse("--json", json.as_bytes())?,
    };
    let inputs: Vec<(String, Value)> = inputs.into_iter().collect();
    let (name, value) = only(&inputs)?;
    known(name)?;
    match value {
        // As in Cog, where the values of --json may name files, too.
        Value::String(value) => file_or_text(value),
        other => Err(Error::Invalid(format!(
            "input `{name}` must be one string, here it is {}: write a list of texts as a string, {EXAMPLE}",
            kind(other)
        ))),
    }
}

const EXAMPLE: &str = r#"{"texts": "[\"I love apple\"]"}"#;

/// The object that `source` holds.
fn parse(source: &str, json: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(inputs)) => Ok(inputs),
        Ok(other) => Err(Error::Invalid(format!(
            "{source} holds {}; expected an object of inputs, such as {EXAMPLE}",
            kind(&other)
        ))),
        Err(error) => Err(Error::Invalid(format!(
            "{source} is not JSON: {error}; expected an object of inputs, such as {EXAMPLE}"
        ))),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn only<T>(inputs: &[T]) -> Result<&T> {
    match inputs {
        [input] => Ok(input),
        [] => Err(Error::Invalid("input `texts` is missing: add -i texts='[\"I love apple\"]'".to_owned())),
        _ => Err(Error::Invalid(format!(
            "{} inputs given, but there is only `texts`: put several texts into one JSON list",
            inputs.len()
        ))),
    }
}

fn known(name: &str) -> Result<()> {
    if NAMES.contains(&name) {
        Ok(())
    } else {
        Err(Error::Invalid(format!("unknown input `{name}`; the only input is `texts`")))
    }
}

fn file_or_text(value: &str) -> Result<String> {
    match value.strip_prefix('@') {
        Some(path) => data_uri(Path::new(path)),
        None => Ok(value.to_owned()),
    }
}

/// `value` without the double quotes around it: shells on Windows leave them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}

/// The file's content as a `data:` address, which is how `cog predict` hands files to a string input.
fn data_uri(path: &Path) -> Result<String> {
    let media_type = media_type(path);
    let content = open_bounded(path, MAX_FILE_BYTES)?;
    if media_type != "application/json" {
        tracing::warn!(
            file = %path.display(),
            media_type,
            "not a .json file: as in Cog, its data address itself is scored, as one text"
        );
    }
    Ok(format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(content)))
}

/// The file's content, unless it is too long for an input.
fn open_bounded(path: &Path, most: usize) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| Error::file(path, error))?;
    read_bounded(&path.display().to_string(), file, most)
}

/// What `from` holds, if that is no more than `most` bytes.
fn read_bounded(name: &str, from: impl Read, most: usize) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    // Not by the length that the file system tells: a pipe has none.
    from.take(most as u64 + 1).read_to_end(&mut content).map_err(|error| Error::file(Path::new(name), error))?;
    if content.len() > most {
        return Err(Error::TooLarge(format!(
            "{name}: longer than {most} bytes, the most that fits an input; \
             `textflight score` takes Parquet files of any size"
        )));
    }
    Ok(content)
}

/// The media type that Cog would give a file by its extension.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        Some("csv") => "text/csv",
        Some("htm" | "html") => "text/html",
        Some("xml") => "text/xml",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(inputs: &[&str]) -> Result<String> {
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        texts(&PredictRequest { inputs, ..PredictRequest::default() })
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(parsed(&[input]).expect(input), expected, "{input}");
    }

    fn json(json: &str) -> Result<String> {
        texts(&PredictRequest { json: Some(json.to_owned()), ..PredictRequest::default() })
    }

    #[track_caller]
    fn check_invalid(inputs: &[&str], expected: &str) {
        check_wrong(&format!("{inputs:?}"), parsed(inputs), expected);
    }

    #[track_caller]
    fn check_wrong(given: &str, texts: Result<String>, expected: &str) {
        match texts {
            Err(Error::Invalid(message)) => assert!(message.contains(expected), "{given}: {message}"),
            other => panic!("{given}: {other:?}"),
        }
    }

    #[test]
    fn both_spellings_of_the_input() {
        check("texts=[\"a\"]", "[\"a\"]");
        check("text=a", "a");
        check("texts=", "");
        check("texts=a=b", "a=b");
    }

    #[test]
    fn one_pair_of_quotes_is_stripped() {
        check("texts=\"a\"", "a");
        check("texts=\"\"a\"\"", "\"a\"");
        check("texts=\"a", "\"a");
        check("texts=a\"", "a\"");
        check("texts=\"", "\"");
        check("texts=\"\"", "");
    }

    #[test]
    fn inputs_that_make_no_sense() {
        check_invalid(&[], "input `texts` is missing");
        check_invalid(&["prompt=a"], "unknown input `prompt`");
        check_invalid(&["[\"a\"]"], "has no value");
        check_invalid(&["texts=a", "text=b"], "2 inputs given");
    }

    #[test]
    fn a_file_becomes_a_data_address() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, expected) in [
            ("in.json", "data:application/json;base64,WyJhIl0="),
            ("in.JSON", "data:application/json;base64,WyJhIl0="),
            ("in.txt", "data:text/plain;base64,WyJhIl0="),
            ("in.csv", "data:text/csv;base64,WyJhIl0="),
            ("in", "data:application/octet-stream;base64,WyJhIl0="),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, "[\"a\"]").expect("a file");
            check(&format!("texts=@{}", path.display()), expected);
            check(&format!("texts=\"@{}\"", path.display()), expected);
        }
    }

    #[test]
    fn files_that_cannot_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing.json");
        let Err(Error::File { path, .. }) = parsed(&[&format!("texts=@{}", missing.display())]) else {
            panic!("read a file that is not there");
        };
        assert_eq!(path, missing);

        let long = folder.path().join("long.json");
        let file = File::create(&long).expect("a file");
        file.set_len(MAX_FILE_BYTES as u64 + 1).expect("a length");
        match parsed(&[&format!("texts=@{}", long.display())]) {
            Err(Error::TooLarge(message)) => assert!(message.contains("long.json"), "{message}"),
            other => panic!("{:?}", other.map(|uri| uri.len())),
        }
    }

    #[test]
    fn inputs_as_a_json_object() {
        for (given, expected) in [
            (r#"{"texts": "[\"a\"]"}"#, r#"["a"]"#),
            (r#" {"text": "\u00e9"} "#, "\u{e9}"),
            (r#"{"texts": "\"quoted\""}"#, "\"quoted\""),
            (r#"{"texts": "a", "texts": "b"}"#, "b"),
        ] {
            assert_eq!(json(given).expect(given), expected);
        }
    }

    #[test]
    fn objects_that_make_no_sense() {
        for (given, expected) in [
            ("", "--json is not JSON: EOF"),
            ("texts=a", "--json is not JSON: "),
            (r#"["a"]"#, "--json holds a list; expected an object of inputs, such as {\"texts\": \"[\\\"I love"),
            ("true", "--json holds true or false; expected an object"),
            ("{}", "input `texts` is missing"),
            (
                r#"{"texts": ["a"]}"#,
                "input `texts` must be one string, here it is a list: write a list of texts as a string",
            ),
            (r#"{"text": null}"#, "input `text` must be one string, here it is null"),
            (r#"{"prompt": "a"}"#, "unknown input `prompt`; the only input is `texts`"),
            (r#"{"texts": "a", "seed": 1}"#, "2 inputs given"),
        ] {
            check_wrong(given, json(given), expected);
        }
        let both = PredictRequest { inputs: vec!["texts=a".to_owned()], json: Some("{}".to_owned()), output: None };
        check_wrong("both", texts(&both), "not by both");
    }

    #[test]
    fn an_object_from_a_file_may_name_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inner, outer) = (folder.path().join("in.json"), folder.path().join("inputs"));
        std::fs::write(&inner, "[\"a\"]").expect("a file");
        std::fs::write(&outer, format!(r#"{{"texts": "@{}"}}"#, inner.display())).expect("a file");
        let given = format!("@{}", outer.display());
        assert_eq!(json(&given).expect("texts"), "data:application/json;base64,WyJhIl0=");

        std::fs::write(&outer, "\u{feff}{}").expect("a file");
        check_wrong(&given, json(&given), &format!("{} is not JSON", outer.display()));
        std::fs::remove_file(&outer).expect("removed");
        assert!(matches!(json(&given), Err(Error::File { path, .. }) if path == outer));
    }
}
