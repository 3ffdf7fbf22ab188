//! `textflight predict`: one prediction on the command line, as `cog predict` makes it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::MAX_INPUT_BYTES;
use super::output::Output;
use super::predict::Predictor;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// The spellings of the one input that the predictor has; the original's own manual uses both.
const NAMES: [&str; 2] = ["texts", "text"];
/// The longest file that fits an input as base64.
const MAX_FILE_BYTES: usize = MAX_INPUT_BYTES / 4 * 3;

/// What to predict, and where the answer goes.
#[derive(Debug, Clone, Default)]
pub struct PredictRequest {
    /// `name=value` or `name=@file`.
    pub inputs: Vec<String>,
    /// The file that takes the answer; without it, standard output does.
    pub output: Option<PathBuf>,
}

/// Makes one prediction and writes its output as indented JSON.
///
/// # Errors
/// [`Error::Invalid`] for inputs that make no sense, [`Error::File`] for a file that cannot be read or written, and
/// whatever the engine fails with.
pub async fn run(request: PredictRequest, engine: Engine) -> Result<()> {
    let texts = texts(&request.inputs)?;
    let output = Predictor::new(engine).predict(&texts).await?;
    write(&output, request.output.as_deref())
}

/// The value of the input `texts`.
fn texts(inputs: &[String]) -> Result<String> {
    let [input] = inputs else {
        return Err(Error::Invalid(match inputs.len() {
            0 => "input `texts` is missing: add -i texts='[\"I love apple\"]'".to_owned(),
            count => format!("{count} inputs given, but there is only `texts`: put several texts into one JSON list"),
        }));
    };
    let Some((name, value)) = input.split_once('=') else {
        return Err(Error::Invalid(format!("input {input:?} has no value: write texts=VALUE or texts=@FILE")));
    };
    if !NAMES.contains(&name) {
        return Err(Error::Invalid(format!("unknown input `{name}`; the only input is `texts`")));
    }
    let value = unquoted(value);
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
    let content = read_bounded(path)?;
    if media_type != "application/json" {
        tracing::warn!(
            file = %path.display(),
            media_type,
            "not a .json file: as in Cog, its data address itself is scored, as one text"
        );
    }
    Ok(format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(content)))
}

/// The file's content, unless it is too long for an input once it is base64.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    // Not by the length that the file system tells: a pipe has none.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content))
        .map_err(|error| Error::file(path, error))?;
    if content.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge(format!(
            "{}: longer than {MAX_FILE_BYTES} bytes, the most that fits an input; \
             `textflight score` takes Parquet files of any size",
            path.display(),
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

fn write(output: &Output, path: Option<&Path>) -> Result<()> {
    let mut json = serde_json::to_string_pretty(output)
        .map_err(|error| Error::Failed(format!("the output does not print as JSON: {error}")))?;
    json.push('\n');
    match path {
        Some(path) => std::fs::write(path, json).map_err(|error| Error::file(path, error)),
        None => std::io::stdout()
            .write_all(json.as_bytes())
            .map_err(|error| Error::file(Path::new("standard output"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(inputs: &[&str]) -> Result<String> {
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        texts(&inputs)
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(parsed(&[input]).expect(input), expected, "{input}");
    }

    #[track_caller]
    fn check_invalid(inputs: &[&str], expected: &str) {
        match parsed(inputs) {
            Err(Error::Invalid(message)) => {
                assert!(message.contains(expected), "{inputs:?}: {message}");
            }
            other => panic!("{inputs:?}: {other:?}"),
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
    fn the_output_is_indented_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.json");
        let output = Output { predicted_labels: vec![1, 0], confidences: vec![1.0, 0.5] };
        write(&output, Some(&path)).expect("written");
        let expected = "{\n  \"predicted_labels\": [\n    1,\n    0\n  ],\n  \
            \"confidences\": [\n    1.0,\n    0.5\n  ]\n}\n";
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected);

        let Err(Error::File { path, .. }) = write(&output, Some(folder.path())) else {
            panic!("wrote to a folder");
        };
        assert_eq!(path, folder.path());
    }
}
