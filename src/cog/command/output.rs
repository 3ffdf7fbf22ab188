//! Where the answer goes, and how it is printed.

use std::io::Write;
use std::path::Path;

use crate::cog::output::Output;
use crate::error::{Error, Result};

/// The output as indented JSON.
pub(super) fn print(output: &Output) -> Result<String> {
    serde_json::to_string_pretty(output)
        .map_err(|error| Error::Failed(format!("the output does not print as JSON: {error}")))
}

/// Writes `json` and a line break to `path`, or to standard output.
pub(super) fn write(json: &str, path: Option<&Path>) -> Result<()> {
    let line = format!("{json}\n");
    match path {
        Some(path) => std::fs::write(path, line).map_err(|error| Error::file(path, error)),
        None => std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Error::file(Path::new("standard output"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_indented_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.json");
        let output = Output { predicted_labels: vec![1, 0], confidences: vec![1.0, 0.5] };
        let json = print(&output).expect("printed");
        write(&json, Some(&path)).expect("written");
        let expected = "{\n  \"predicted_labels\": [\n    1,\n    0\n  ],\n  \
            \"confidences\": [\n    1.0,\n    0.5\n  ]\n}\n";
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected);

        let Err(Error::File { path, .. }) = write(&json, Some(folder.path())) else {
            panic!("wrote to a folder");
        };
        assert_eq!(path, folder.path());
    }
}
