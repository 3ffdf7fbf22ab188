//! What `IN… -o OUT` means: which files are read, and which written.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file to read, and the file to write for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The Parquet file to score.
    pub input: PathBuf,
    /// The file with its columns and the new ones.
    pub output: PathBuf,
}

/// Pairs the inputs with outputs.
///
/// One file goes to the file `output`; if that is a folder, to its own name in there. Several files, or folders of them, go
/// each to its own name in the folder `output`. Of a folder the `*.parquet` files directly inside are taken, by name, without
/// those that Spark and others hide behind a leading `.` or `_`.
///
/// # Errors
/// [`Error::Invalid`] when the paths do not go together, [`Error::File`] when a file is not there or a folder cannot be read.
pub fn pair(inputs: &[PathBuf], output: &Path) -> Result<Vec<Pair>> {
    let [only] = inputs else {
        return pair_with_folder(inputs, output);
    };
    if only.is_dir() || output.is_dir() {
        return pair_with_folder(inputs, output);
    }
    check_exists(only)?;
    Ok(vec![Pair { input: only.clone(), output: output.to_owned() }])
}

fn pair_with_folder(inputs: &[PathBuf], output: &Path) -> Result<Vec<Pair>> {
    if inputs.is_empty() {
        return Err(Error::Invalid("no input: name a Parquet file".to_owned()));
    }
    if !output.is_dir() {
        return Err(Error::Invalid(format!(
            "-o {}: must be an existing folder, since the input is several files or a folder",
            output.display()
        )));
    }
    let mut pairs = Vec::new();
    let mut taken: HashMap<OsString, PathBuf> = HashMap::new();
    for input in expand(inputs)? {
        let name =
            input.file_name().ok_or_else(|| Error::Invalid(format!("{}: not the name of a file", input.display())))?;
        if let Some(other) = taken.insert(name.to_owned(), input.clone()) {
            return Err(Error::Invalid(format!(
                "{} and {} would both be written to {}: score them into separate folders",
                other.display(),
                input.display(),
                output.join(name).display()
            )));
        }
        let output = output.join(name);
        pairs.push(Pair { input, output });
    }
    Ok(pairs)
}

/// Folders by the files in them.
fn expand(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if input.is_dir() {
            files.extend(parquet_files(input)?);
        } else {
            check_exists(input)?;
            files.push(input.clone());
        }
    }
    Ok(files)
}

/// Said here, since what follows may first fetch a model.
fn check_exists(input: &Path) -> Result<()> {
    fs::metadata(input).map(drop).map_err(|cause| Error::file(input, cause))
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::file(folder, cause);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| {
            let name = name.as_encoded_bytes();
            name.starts_with(b".") || name.starts_with(b"_")
        });
        if !hidden && path.extension().is_some_and(|kind| kind == "parquet") && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::Invalid(format!(
            "{}: no .parquet file in this folder (folders inside are not searched)",
            folder.display()
        )));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with empty files of these names, and folders for the names that end in `/`.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, b"").unwrap();
            }
        }
        folder
    }

    fn check(names: &[&str], inputs: &[&str], output: &str, expected: &[(&str, &str)]) {
        let folder = folder(names);
        let inputs: Vec<_> = inputs.iter().map(|name| folder.path().join(name)).collect();
        let pairs = pair(&inputs, &folder.path().join(output)).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(input, output)| Pair { input: folder.path().join(input), output: folder.path().join(output) })
            .collect();
        assert_eq!(pairs, expected);
    }

    fn refused(names: &[&str], inputs: &[&str], output: &str) -> String {
        let folder = folder(names);
        let inputs: Vec<_> = inputs.iter().map(|name| folder.path().join(name)).collect();
        let error = pair(&inputs, &folder.path().join(output)).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
        let here = format!("{}/", folder.path().display());
        error.to_string().replace(&here, "")
    }

    #[test]
    fn a_file_goes_to_a_file() {
        check(&["a.parquet"], &["a.parquet"], "b", &[("a.parquet", "b")]);
    }

    #[test]
    fn a_file_goes_into_a_folder_under_its_name() {
        let expected = [("a.pq", "out/a.pq")];
        check(&["a.pq", "out/"], &["a.pq"], "out", &expected);
    }

    #[test]
    fn several_files_go_into_a_folder() {
        let names = ["b.parquet", "in/a.parquet", "out/"];
        let expected = [("b.parquet", "out/b.parquet"), ("in/a.parquet", "out/a.parquet")];
        check(&names, &["b.parquet", "in/a.parquet"], "out", &expected);
    }

    #[test]
    fn a_folder_is_its_visible_parquet_files_by_name() {
        let names = [
            "in/b.parquet",
            "in/a.parquet",
            "in/_metadata.parquet",
            "in/.hidden.parquet",
            "in/notes.txt",
            "in/deep.parquet/c.parquet",
            "out/",
        ];
        let expected = [("in/a.parquet", "out/a.parquet"), ("in/b.parquet", "out/b.parquet")];
        check(&names, &["in"], "out", &expected);
    }

    #[test]
    fn an_input_that_is_not_there_is_named() {
        let folder = folder(&["a", "out/"]);
        let path = |name: &str| folder.path().join(name);
        for inputs in [vec![path("nope")], vec![path("a"), path("nope")]] {
            let error = pair(&inputs, &path("out")).unwrap_err();
            assert!(matches!(&error, Error::File { path, .. } if path.ends_with("nope")), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_paired_is_refused() {
        assert_eq!(refused(&[], &[], "out"), "no input: name a Parquet file");
        assert_eq!(
            refused(&["a", "b"], &["a", "b"], "out"),
            "-o out: must be an existing folder, since the input is several files or a folder"
        );
        assert_eq!(
            refused(&["in/a.parquet", "out"], &["in"], "out"),
            "-o out: must be an existing folder, since the input is several files or a folder"
        );
        assert_eq!(
            refused(&["a", "in/a", "out/"], &["a", "in/a"], "out"),
            "a and in/a would both be written to out/a: score them into separate folders"
        );
        assert_eq!(
            refused(&["in/a.csv", "out/"], &["in"], "out"),
            "in: no .parquet file in this folder (folders inside are not searched)"
        );
    }
}
