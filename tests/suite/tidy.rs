//! What the `use` lines must keep to: dependencies point downwards, and each outside crate has its room.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// Crates that stay in their rooms. A room is a path below `src/`.
const CRATES: [(&str, &[&str]); 12] = [
    ("tonic", &["flight/", "server.rs"]),
    ("arrow_flight", &["flight/"]),
    ("axum", &["cog/", "server/"]),
    ("hyper_util", &["server/"]),
    ("reqwest", &["http_client.rs", "cog/"]),
    ("rustls", &["http_client.rs"]),
    ("parquet", &["bulk/"]),
    ("candle_core", &["check/", "classifier/"]),
    ("tokenizers", &["classifier/"]),
    ("hf_hub", &["classifier/"]),
    ("bytemuck", &["classifier/kernels/"]),
    ("clap", &["cli.rs", "cli/"]),
];

/// Modules that a room must not know: what stands above it or beside it.
const MODULES: [(&str, &[&str]); 13] = [
    ("check/", &["bulk", "cog", "flight", "server", "stream", "table"]),
    ("error.rs", &["bulk", "check", "classifier", "cog", "engine", "flight", "server", "stream", "table"]),
    ("memory.rs", &["bulk", "check", "classifier", "cog", "engine", "flight", "server", "stream", "table"]),
    ("memory/", &["bulk", "check", "classifier", "cog", "engine", "flight", "server", "stream", "table"]),
    ("http_client.rs", &["bulk", "classifier", "cog", "engine", "flight", "server", "stream", "table"]),
    ("classifier/", &["bulk", "check", "cog", "engine", "flight", "server", "stream", "table"]),
    ("engine/", &["bulk", "check", "cog", "flight", "server", "stream", "table"]),
    ("table.rs", &["bulk", "cog", "engine", "flight", "server", "stream"]),
    ("table/", &["bulk", "cog", "engine", "flight", "server", "stream"]),
    ("stream.rs", &["bulk", "cog", "flight", "server"]),
    ("flight/", &["bulk", "cog", "server"]),
    ("bulk/", &["cog", "flight", "server"]),
    ("cog/", &["bulk", "flight", "server"]),
];

/// Every source file, as its path below `src/` and its text without tests.
fn sources() -> Vec<(String, String)> {
    let root = repository("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
            (name, code)
        })
        .filter(|(name, _)| {
            !name.ends_with("tests.rs") && !name.ends_with("testing.rs") && !name.contains("/differential/")
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The lines of code in which `path` is used: comments left out.
fn uses<'a>(code: &'a str, path: &str) -> Option<&'a str> {
    let mentions = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("//")
            && line.match_indices(path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
            })
    };
    code.lines().find(mentions)
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    for (name, code) in sources() {
        for (dependency, rooms) in CRATES {
            if rooms.iter().any(|room| name.starts_with(room)) {
                continue;
            }
            let found = uses(&code, &format!("{dependency}::"));
            assert_eq!(found, None, "src/{name} uses {dependency}, whose rooms are {rooms:?}");
        }
    }
}

#[test]
fn dependencies_point_downwards() {
    for (name, code) in sources() {
        for (room, above) in MODULES {
            if !name.starts_with(room) {
                continue;
            }
            for module in above {
                let found = uses(&code, &format!("crate::{module}"));
                assert_eq!(found, None, "src/{name} knows {module}");
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_the_kernels_alone() {
    for (name, code) in sources() {
        // Mapping a file is unsafe, too.
        if !name.starts_with("classifier/kernels/") && name != "classifier/weights.rs" {
            assert_eq!(uses(&code, "unsafe {"), None, "src/{name} has unsafe code");
        }
    }
}

#[test]
fn no_file_has_grown_beyond_admiration() {
    for (name, code) in sources() {
        let lines = code.lines().count();
        assert!(lines <= 300, "src/{name} has {lines} lines without its tests: a second concept may live in it");
    }
}

#[test]
fn the_checks_themselves_find_what_they_look_for() {
    assert!(uses("use tonic::Status;", "tonic::").is_some());
    assert!(uses("    let x = crate::flight::service();", "crate::flight").is_some());
    assert!(uses("// tonic::Status", "tonic::").is_none());
    assert!(uses("use my_tonic::Status;", "tonic::").is_none());
}
