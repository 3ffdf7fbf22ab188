use std::path::PathBuf;

use super::*;
use crate::store::testing::unused;

fn pair_paths(inputs: &[PathBuf], output: &Path) -> Result<Pairs> {
    let inputs: Vec<_> = inputs.iter().cloned().map(FileLocation::Path).collect();
    pair(&inputs, &FileLocation::Path(output.to_owned()), TABLES, &unused())
}

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

fn pairs(folder: &Path, inputs: &[&str], output: &str) -> Result<Vec<(String, String)>> {
    let inputs: Vec<_> = inputs.iter().map(|name| folder.join(name)).collect();
    let relative = |file: FileLocation| file.path().unwrap().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let pairs = pair_paths(&inputs, &folder.join(output))?;
    Ok(pairs.iter().map(|pair| (relative(pair.input), relative(pair.output))).collect())
}

fn check(names: &[&str], inputs: &[&str], output: &str, expected: &[(&str, &str)]) {
    let folder = folder(names);
    let expected: Vec<_> = expected.iter().map(|(input, output)| ((*input).to_owned(), (*output).to_owned())).collect();
    assert_eq!(pairs(folder.path(), inputs, output).unwrap(), expected);
}

/// Which files are read where all goes to the folder `out`.
fn read(folder: &Path, inputs: &[&str]) -> Vec<String> {
    let pairs = pairs(folder, inputs, "out").unwrap();
    pairs.into_iter().map(|(_, output)| output.strip_prefix("out/").unwrap().to_owned()).collect()
}

fn refused(names: &[&str], inputs: &[&str], output: &str) -> String {
    let folder = folder(names);
    let error = pairs(folder.path(), inputs, output).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_file_goes_to_a_file() {
    check(&["a.parquet"], &["a.parquet"], "b", &[("a.parquet", "b")]);
    check(&["a.parquet", "b"], &["a.parquet"], "b", &[("a.parquet", "b")]);
}

#[test]
fn a_file_goes_into_a_folder_under_its_name() {
    check(&["in/a.pq", "out/"], &["in/a.pq"], "out", &[("in/a.pq", "out/a.pq")]);
    check(&["a.dat"], &["a.dat"], "new/", &[("a.dat", "new/a.dat")]);
}

#[test]
fn several_files_go_into_a_folder_that_need_not_be_there() {
    let names = ["b.parquet", "in/a.parquet"];
    let expected = [("in/a.parquet", "out/a.parquet"), ("b.parquet", "out/b.parquet")];
    check(&names, &["b.parquet", "in/a.parquet"], "out", &expected);
}

#[test]
fn a_folder_is_its_visible_tables_where_they_lie() {
    let names = [
        "in/b.parquet",
        "in/a.PQ",
        "in/year=2026/month=01/c.parquet",
        "in/year=2025/c.parquet",
        "in/_metadata.parquet",
        "in/.hidden.parquet",
        "in/_temporary/d.parquet",
        "in/.git/d.parquet",
        "in/b.parquet.textflight/e.parquet",
        "in/notes.txt",
        "in/deep.parquet/c.parquet",
    ];
    let expected = [
        ("in/a.PQ", "out/a.PQ"),
        ("in/b.parquet", "out/b.parquet"),
        ("in/deep.parquet/c.parquet", "out/deep.parquet/c.parquet"),
        ("in/year=2025/c.parquet", "out/year=2025/c.parquet"),
        ("in/year=2026/month=01/c.parquet", "out/year=2026/month=01/c.parquet"),
    ];
    check(&names, &["in"], "out", &expected);
    // A folder is read where it is named, whatever it is called.
    check(&["_in/a.pq"], &["_in"], "out", &[("_in/a.pq", "out/a.pq")]);
}

#[test]
fn a_pattern_is_what_it_says_below_its_fixed_part() {
    let names = ["in/x/a.pq", "in/x/y/b.pq", "in/z/a.pq", "in/c.pq", "in/x/d.txt", "in/[x].pq"];
    let folder = folder(&names);
    let read = |pattern: &str| read(folder.path(), &[pattern]);
    assert_eq!(read("in/**/*.pq"), ["[x].pq", "c.pq", "x/a.pq", "x/y/b.pq", "z/a.pq"]);
    assert_eq!(read("in/*/a.pq"), ["x/a.pq", "z/a.pq"]);
    assert_eq!(read("in/x/*"), ["a.pq", "d.txt", "y/b.pq"]);
    assert_eq!(read("in/[yz]"), ["z/a.pq"]);
    // A file of that name comes before what it would mean.
    let expected = [("in/[x].pq".to_owned(), "out.pq".to_owned())];
    assert_eq!(pairs(folder.path(), &["in/[x].pq"], "out.pq").unwrap(), expected);
    let error = pairs(folder.path(), &["in/*.csv"], "out").unwrap_err().to_string();
    assert!(error.ends_with("in/*.csv: no such file, and none that it is a pattern of"), "{error}");
    let error = pairs(folder.path(), &["in/[x"], "out").unwrap_err().to_string();
    assert!(error.ends_with("in/[x: a [ without its ]"), "{error}");
}

#[test]
fn the_order_is_that_of_the_outputs() {
    let names = ["b/1.pq", "b/x/2.pq", "a/3.pq", "0.pq"];
    let expected = ["0.pq", "1.pq", "3.pq", "x/2.pq"];
    assert_eq!(read(folder(&names).path(), &["b", "a", "0.pq"]), expected);
    assert_eq!(read(folder(&names).path(), &["0.pq", "a", "b"]), expected);
}

#[test]
fn outputs_are_not_read_again() {
    let folder = folder(&["in/a.pq", "in/x/b.pq", "in/scored/a.pq", "in/scored/x/b.pq"]);
    for input in ["in", "in/**/*.pq", "in/**"] {
        let pairs = pairs(folder.path(), &[input], "in/scored").unwrap();
        let inputs: Vec<_> = pairs.into_iter().map(|(input, _)| input).collect();
        assert_eq!(inputs, ["in/a.pq", "in/x/b.pq"], "{input}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_circles_are_none() {
    use std::os::unix::fs::symlink;
    let folder = folder(&["in/x/a.pq", "in/x/y/b.pq", "far/c.pq", "far/deep/d.pq", "in/_hidden/e.pq"]);
    let link = |target: &str, name: &str| symlink(target, folder.path().join(name)).unwrap();
    // Circles, and detours to what is read anyway.
    link("..", "in/x/up");
    link(".", "in/x/y/here");
    link("../..", "in/x/above");
    link("x", "in/again");
    link("_hidden", "in/shown");
    // Elsewhere, twice, with a way back.
    link("../far", "in/far");
    link("../far/deep", "in/z");
    link("../in/x", "far/deep/back");
    // Files, one of which is not there.
    link("../far/c.pq", "in/l.pq");
    link("nowhere", "in/m.pq");
    let expected = ["far/c.pq", "far/deep/d.pq", "l.pq", "m.pq", "x/a.pq", "x/y/b.pq"];
    assert_eq!(read(folder.path(), &["in"]), expected);
    assert_eq!(read(folder.path(), &["in/**/*.pq"]), expected);
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(&[]);
    let inner = folder.path().join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&inner).unwrap();
    let file = inner.join(OsStr::from_bytes(b"\xfe.pq"));
    fs::write(&file, b"").unwrap();
    let out = folder.path().join("out");
    for input in [folder.path().to_owned(), folder.path().join("**/*.pq")] {
        let pairs: Vec<_> = pair_paths(&[input], &out).unwrap().iter().collect();
        assert_eq!(
            pairs,
            [Pair {
                input: FileLocation::Path(file.clone()),
                output: FileLocation::Path(out.join(OsStr::from_bytes(b"\xff/\xfe.pq"))),
                bytes: None,
                share: Share::WHOLE,
                merged: None,
            }]
        );
    }
}

#[test]
fn shards_have_each_file_once() {
    let names: Vec<_> = (0..40).map(|number| format!("in/{}/{number}.pq", number % 3)).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let all = pair_paths(&[folder.path().join("in")], &folder.path().join("out")).unwrap();
    let mut found = Vec::new();
    for number in 0..3 {
        let part = all.clone().of_shard(Shard::new(number, 3).unwrap(), |_| panic!("there are files enough")).unwrap();
        assert!((1..40).contains(&part.len()));
        found.extend(part.iter());
    }
    found.sort_by(|one, other| one.output.cmp(&other.output));
    assert_eq!(found, all.iter().collect::<Vec<_>>());
    assert_eq!(all.of_shard(Shard::WHOLE, |_| 1).unwrap().len(), 40);
}

#[test]
fn few_files_are_shared_out() {
    let folder = folder(&["in/a.pq", "in/b.pq"]);
    let all = pair_paths(&[folder.path().join("in")], &folder.path().join("out")).unwrap();
    let row_groups = |file: &FileLocation| if file.file_name() == Some("a.pq".as_ref()) { 10 } else { 1 };
    let parts = (0..4).flat_map(|number| {
        let part = all.clone().of_shard(Shard::new(number, 4).unwrap(), row_groups).unwrap();
        part.iter().collect::<Vec<_>>()
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by(|one, other| one.output.cmp(&other.output));
    let names: Vec<_> = parts.iter().map(|part| part.output.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.part-0-of-4.pq", "a.part-1-of-4.pq", "a.part-2-of-4.pq", "a.part-3-of-4.pq", "b.pq"]);
    assert_eq!(parts[3].share.row_groups(10), 7..10);
    assert!(parts[4].share.is_whole());
}

#[test]
fn parts_have_names_of_their_own() {
    let refused = |names: &[&str], inputs: &[&str], output: &str| {
        let folder = folder(names);
        let inputs: Vec<_> = inputs.iter().map(|name| folder.path().join(name)).collect();
        let all = pair_paths(&inputs, &folder.path().join(output)).unwrap();
        let row_groups = |file: &FileLocation| if file.file_name() == Some("a.pq".as_ref()) { 4 } else { 1 };
        let told = (0..4).map(|number| {
            let error = all.clone().of_shard(Shard::new(number, 4).unwrap(), row_groups).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        });
        let told: Vec<_> = told.collect();
        assert!(told.iter().all(|other| *other == told[0]), "each shard says so: {told:?}");
        told[0].clone()
    };
    assert_eq!(
        refused(&["in/a.pq", "in/a.part-0-of-4.pq"], &["in"], "out"),
        "in/a.part-0-of-4.pq and in/a.pq would both be written to out/a.part-0-of-4.pq: score them into separate folders"
    );
    assert_eq!(
        refused(&["in/y/a.pq", "out/y/a.part-3-of-4.pq"], &["in", "out/y/a.part-3-of-4.pq"], "out"),
        "out/y/a.part-3-of-4.pq is an input, and would be written over: -o out/a.part-3-of-4.pq must be another folder"
    );
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let folder = folder(&["a", "out/"]);
    let path = |name: &str| folder.path().join(name);
    for inputs in [vec![path("nope")], vec![path("a"), path("nope")]] {
        let error = pair_paths(&inputs, &path("out")).unwrap_err();
        assert!(matches!(&error, Error::File { path, .. } if path.ends_with("nope")), "{error}");
    }
}

#[test]
fn what_cannot_be_paired_is_refused() {
    assert_eq!(refused(&[], &[], "out"), "no input: name a file or a folder");
    assert_eq!(refused(&["a"], &["a"], "missing/out"), "-o missing/out: the folder missing does not exist");
    let folder = "-o out: must be a folder, since the input is several files, a folder or a pattern";
    assert_eq!(refused(&["a", "b", "out"], &["a", "b"], "out"), folder);
    assert_eq!(refused(&["in/a.parquet", "out"], &["in"], "out"), folder);
    assert_eq!(refused(&["in/a.parquet", "out"], &["in/*"], "out"), folder);
    assert_eq!(
        refused(&["a", "in/a", "out/"], &["a", "in/a"], "out"),
        "a and in/a would both be written to out/a: score them into separate folders"
    );
    assert_eq!(
        refused(&["x/a.pq", "y/a.pq/b.pq"], &["x", "y"], "out"),
        "x/a.pq and y/a.pq/b.pq would both be written to out/a.pq: score them into separate folders"
    );
    let nothing = refused(&["in/a.txt"], &["in"], "out");
    assert!(nothing.starts_with("in: no .parquet or .pq or .csv or "), "{nothing}");
    assert!(nothing.ends_with(" file in this folder or below"), "{nothing}");
}

#[cfg(unix)]
#[test]
fn inputs_are_never_written_over_through_links() {
    let folder = folder(&["in/a.pq", "in/b.pq", "out/", "elsewhere"]);
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(from));
    link("elsewhere", "out/b.pq").unwrap();
    assert_eq!(pairs(folder.path(), &["in"], "out").unwrap().len(), 2);
    link("in/b.pq", "out/a.pq").unwrap();
    let error = pairs(folder.path(), &["in"], "out").unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    let told = error.to_string().replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(told, "-o out/a.pq is a link to the input in/b.pq: name another folder");
}

#[test]
fn inputs_are_never_written_over() {
    let same = "-o in is the folder that is read: name another one";
    assert_eq!(refused(&["in/a.pq"], &["in"], "in"), same);
    assert_eq!(refused(&["in/a.pq"], &["in/*.pq"], "in"), same);
    assert_eq!(refused(&["in/a.pq", "b.pq"], &["b.pq", "in"], "in"), same);
    assert_eq!(
        refused(&["in/raw/a.pq", "in/b.pq"], &["in/raw", "in/b.pq"], "in"),
        "in/b.pq is an input, and would be written over: -o in/b.pq must be another folder"
    );
    assert_eq!(
        refused(&["out/x/a.pq", "y/x/a.pq", "z.pq"], &["out/x/a.pq", "y"], "out"),
        "out/x/a.pq is an input, and would be written over: -o out/a.pq must be another folder"
    );
    // Below the output is not in its way.
    check(&["out/raw/a.pq"], &["out/raw"], "out", &[("out/raw/a.pq", "out/a.pq")]);
}
