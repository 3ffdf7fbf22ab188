//! What may be a data set, and what is in a folder.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::*;

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn folder(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        write(&folder.path().join(path));
    }
    folder
}

fn paths(set: &DataSet, below: Option<&str>) -> Vec<String> {
    set.entries(below).unwrap()
}

#[track_caller]
fn check_refused(datasets: &Datasets, name: &str, path: &Path, expected: &str) {
    let error = datasets.add_path(name, path).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains(expected)), "{error}");
}

#[test]
fn names_are_checked() {
    let folder = folder(&["a.parquet"]);
    let (datasets, file) = (Datasets::default(), folder.path().join("a.parquet"));
    for (name, expected) in [
        ("", "no name"),
        (" a", "no name"),
        ("a\n", "no name"),
        ("textflight_x", "functions of SQL"),
        (&"a".repeat(256), "255"),
    ] {
        check_refused(&datasets, name, &file, expected);
    }
    datasets.add_path("a", &file).unwrap();
    check_refused(&datasets, "a", folder.path(), "already");
    datasets.add_path("a b/ü=1", folder.path()).unwrap();
    let error = datasets.get("b").unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.ends_with("data sets: a, a b/ü=1")), "{error}");
    let names: Vec<_> = datasets.beginning("a ").iter().map(|set| set.name().to_owned()).collect();
    assert_eq!(names, ["a b/ü=1"]);
}

#[test]
fn paths_are_looked_at_when_they_are_added() {
    let folder = folder(&["a.parquet"]);
    let datasets = Datasets::default();
    let text = folder.path().join("text");
    fs::write(&text, "no parquet").unwrap();
    check_refused(&datasets, "x", &folder.path().join("none"), "No such file");
    check_refused(&datasets, "x", &text, "not a Parquet file");
    check_refused(&datasets, "x", Path::new("/dev/null"), "neither a file nor a folder");
    check_refused(&datasets, "x", Path::new("s3://bucket/a.parquet"), "is a URL");
}

#[test]
fn a_folder_is_searched_to_its_end_without_what_is_being_written() {
    let folder = folder(&[
        "b.parquet",
        "a/2.parquet",
        "a/1.PARQUET",
        "a.pq",
        "_tmp/x.parquet",
        ".x.parquet",
        "_x.parquet",
        "a/.y/z.parquet",
    ]);
    fs::write(folder.path().join("README.md"), "").unwrap();
    let datasets = Datasets::default();
    datasets.add_path("x", folder.path()).unwrap();
    let set = datasets.get("x").unwrap();
    assert_eq!(paths(&set, None), ["a.pq", "a/1.PARQUET", "a/2.parquet", "b.parquet"]);
    assert_eq!(paths(&set, Some("a")), ["a/1.PARQUET", "a/2.parquet"]);
    assert_eq!(paths(&set, Some(".//a/./2.parquet")), ["a/2.parquet"]);
    assert!(matches!(set.entries(Some("c")), Err(Error::NotFound(_))));
    assert!(matches!(set.entries(Some("../x")), Err(Error::Denied(_))));
    write(&folder.path().join("c/d/new.parquet"));
    assert_eq!(paths(&set, Some("c")), ["c/d/new.parquet"]);
}

#[test]
fn an_empty_folder_may_be_filled_later() {
    let folder = folder(&[]);
    let datasets = Datasets::default();
    datasets.add_path("x", folder.path()).unwrap();
    let error = datasets.get("x").unwrap().entries(None).unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("no Parquet file")), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_only() {
    use std::os::unix::fs::symlink;
    let outside = folder(&["secret.parquet"]);
    let folder = folder(&["a/1.parquet"]);
    symlink(outside.path().join("secret.parquet"), folder.path().join("out.parquet")).unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(folder.path(), folder.path().join("a/round")).unwrap();
    symlink("1.parquet", folder.path().join("a/2.parquet")).unwrap();
    let datasets = Datasets::default();
    datasets.add_path("x", folder.path()).unwrap();
    let set = datasets.get("x").unwrap();
    assert_eq!(paths(&set, None), ["a/1.parquet", "a/2.parquet"]);
    for path in ["out.parquet", "out/secret.parquet", "out", "a/round/../../out.parquet"] {
        assert!(matches!(set.entries(Some(path)), Err(Error::Denied(_))), "{path}");
        assert!(matches!(set.open(path), Err(Error::Denied(_))), "{path}");
    }
}

#[test]
fn a_file_is_the_one_that_it_was_or_none() {
    let folder = folder(&["a.parquet"]);
    let path = folder.path().join("a.parquet");
    let datasets = Datasets::default();
    datasets.add_path("x", folder.path()).unwrap();
    let set = datasets.get("x").unwrap();
    let version = set.open("a.parquet").unwrap().version;
    assert_eq!(set.unchanged(&version).unwrap().version, version);
    fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let error = set.unchanged(&version).unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("get a new FlightInfo")), "{error}");
    fs::write(&path, "damaged").unwrap();
    assert!(matches!(set.open("a.parquet"), Err(Error::Invalid(text)) if !text.contains("tmp")));
    fs::remove_file(&path).unwrap();
    assert!(matches!(set.unchanged(&version), Err(Error::NotFound(_))));
}

#[test]
fn a_table_that_was_handed_over_is_taken_away_again() {
    let folder = folder(&["a.parquet"]);
    let datasets = Datasets::default();
    let table = Arc::new(ParquetFile::open(&folder.path().join("a.parquet")).unwrap());
    datasets.replace("t", Arc::clone(&table) as _).unwrap();
    let version = datasets.get("t").unwrap().open("").unwrap().version;
    assert!(datasets.remove("t") && !datasets.remove("t"));
    datasets.replace("t", table).unwrap();
    let error = datasets.get("t").unwrap().unchanged(&version).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "another table of the same name is another one: {error}");
    datasets.add_path("f", folder.path()).unwrap();
    assert!(!datasets.remove("f"));
}
