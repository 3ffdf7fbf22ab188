//! What the code must keep to: dependencies point downwards, and each outside crate has its room.
//!
//! The sources are parsed, and every path in them is resolved as the compiler would: in `use` trees, expressions, types,
//! attributes and the arguments of macros, wherever it stands, but in what is compiled for tests alone.

mod paths;

use std::path::Path;

use self::paths::{Found, Source, sources, sources_of_kernels};
use crate::support::repository;

/// Crates that stay in their rooms. A room is a path below `src/`.
const CRATES: &[(&str, &[&str])] = &[
    ("tonic", &["flight/", "remote/"]),
    ("tonic_health", &["flight/"]),
    ("tonic_reflection", &["flight/"]),
    ("arrow_flight", &["flight/", "remote/"]),
    ("axum", &["cog/", "page/", "rest/", "server/"]),
    ("hyper", &["server/"]),
    ("hyper_util", &["remote/connection.rs", "server/"]),
    ("reqwest", &["http_client.rs", "classifier/hub/", "cog/", "store/", "traces/"]),
    ("object_store", &["store/"]),
    ("rustls", &["http_client.rs", "server/tls", "trust.rs"]),
    ("tokio_rustls", &["remote/connection.rs", "server/tls.rs"]),
    ("ring", &["flight/ticket.rs"]),
    ("rustls_native_certs", &["trust.rs"]),
    ("webpki_roots", &["trust.rs"]),
    ("parquet", &["sink/", "source/"]),
    ("brotli", &["source/"]),
    ("csv_core", &["source/"]),
    ("lz4_flex", &["source/"]),
    ("flatbuffers", &["ipc_strings.rs"]),
    ("prost", &["flight/", "traces/sender.rs"]),
    ("candle_core", &["check/", "classifier/"]),
    ("tokenizers", &["classifier/"]),
    ("unicode_normalization_alignments", &["classifier/tokenizer/"]),
    ("prometheus_client", &["metrics/"]),
    ("opentelemetry", &["traces/otlp.rs", "traces/losses.rs"]),
    ("opentelemetry_http", &["traces/otlp.rs", "traces/sender.rs"]),
    ("opentelemetry_otlp", &["traces/otlp.rs", "traces/losses.rs"]),
    ("opentelemetry_sdk", &["traces/otlp.rs", "traces/losses.rs"]),
    ("tracing_opentelemetry", &["traces/otlp.rs"]),
    ("tracing_subscriber", &["telemetry.rs", "traces/"]),
    ("clap", &["cli.rs", "cli/"]),
];

/// The library's modules, from the ground up: each may know those of the layers below it alone.
const LAYERS: &[&[&str]] = &[
    &["accept", "error"],
    &[
        "flight_uri",
        "format",
        "hexadecimal",
        "ipc_compression",
        "ipc_strings",
        "ipc_writer",
        "memory",
        "metrics",
        "panics",
        "paths",
        "reload",
        "spool",
        "trust",
    ],
    &["auth", "http_client"],
    &["store"],
    &["source"],
    &["classifier", "sink", "traces"],
    &["engine", "table"],
    &["check", "identity", "readiness", "stream", "udf"],
    &["tally"],
    &["bulk", "cog", "flight", "page", "remote", "rest"],
    &["server"],
];

/// What a module must not know though it stands below, and what the binary's must not.
const STRANGERS: &[(&str, &[&str])] = &[
    ("check", &["table"]),
    ("cog", &["sink", "source"]),
    ("cli", &["bulk", "check", "engine", "flight", "page", "rest", "server", "stream"]),
];

#[test]
fn outside_crates_stay_in_their_rooms() {
    for Source { name, found, .. } in sources() {
        for &(dependency, rooms) in CRATES {
            let stays = rooms.iter().any(|room| name.starts_with(room));
            assert!(stays || !found.uses_crate(dependency), "src/{name} uses {dependency}, whose rooms are {rooms:?}");
        }
    }
}

#[test]
fn dependencies_point_downwards() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    for Source { name, module, found, in_library, .. } in sources() {
        assert!(!found.modules().contains("*"), "src/{name} takes in all that the crate has: name what it needs");
        let Some(own) = module.first() else { continue };
        let strangers = STRANGERS.iter().filter(|(room, _)| room == own).flat_map(|(_, strangers)| *strangers);
        for stranger in strangers {
            assert!(!found.modules().contains(*stranger), "src/{name} knows {stranger}");
        }
        if in_library {
            let at = layer(own).unwrap_or_else(|| panic!("src/{name} is of no layer: say in LAYERS where it stands"));
            for other in found.modules().iter().filter(|other| *other != own) {
                assert!(layer(other).is_none_or(|below| below < at), "src/{name} knows {other}, which is not below it");
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_the_kernels_alone() {
    for Source { name, found, .. } in sources() {
        // Mapping a file is unsafe, too, and so is the name by which the allocator finds its options.
        let may = ["classifier/weights.rs", "main.rs"].contains(&name.as_str());
        assert!(may || !found.has_unsafe(), "src/{name} has unsafe code");
    }
}

#[test]
fn no_file_has_grown_beyond_admiration() {
    for Source { name, lines, .. } in sources().into_iter().chain(sources_of_kernels()) {
        assert!(lines <= 300, "{name} has {lines} lines without its tests: a second concept may live in it");
    }
}

#[test]
fn rooms_are_there() {
    let sources = sources();
    for room in CRATES.iter().flat_map(|(_, rooms)| *rooms) {
        assert!(sources.iter().any(|source| source.name.starts_with(room)), "there is no src/{room}");
    }
    for module in LAYERS.concat().iter().chain(STRANGERS.iter().map(|(room, _)| room)) {
        let is_there = sources.iter().any(|source| source.module.first().is_some_and(|first| first == module));
        assert!(is_there, "there is no module {module}");
    }
    assert!(CRATES.iter().all(|(dependency, _)| sources.iter().any(|source| source.found.uses_crate(dependency))));
    assert!(repository("src").join("lib.rs").exists());
}

/// What a file of the library at `src/{name}` is found to use.
fn found(name: &str, code: &str) -> Found {
    Source::parse(Path::new(name), code, true).found
}

#[test]
fn modules_are_found_however_they_are_written() {
    for code in [
        "use crate::bulk;",
        "use crate::{cog, bulk};",
        "use crate::{cog::{Output, self}, bulk::{Pair as P}};",
        "use {crate::bulk::Pair, std::fmt};",
        "pub use crate::bulk as files;",
        "pub(crate) use super::super::bulk::pair;",
        "use super::super::{bulk::*, Error};",
        "fn f() { let x = crate::bulk::pair(); }",
        "fn f() { super::super::bulk::pair(); }",
        "fn f(x: &crate::bulk::Pair) {}",
        "impl crate::bulk::Source for X {}",
        "fn f() { info!(rows = crate::bulk::rows(), \"done\"); }",
        "macro_rules! m { () => { $crate::bulk::pair() } }",
        "#[derive(crate::bulk::Magic)] struct X;",
        "#[cfg(test)]\nmod tests;\nuse crate::bulk;",
        "#[cfg(test)]\nmod tests { use super::*; }\nfn f() { crate::bulk::pair(); }",
        "mod inner { use super::super::super::bulk; }",
        "fn f() { use crate::bulk; }",
        "fn f() { match x { crate::bulk::Kind::A => {} } }",
        "#[cfg(any(test, feature = \"cuda\"))]\nuse crate::bulk;",
    ] {
        assert!(found("flight/service.rs", code).modules().contains("bulk"), "{code}");
    }
    assert!(found("flight/mod.rs", "use super::bulk;").modules().contains("bulk"));
    assert!(found("stream.rs", "use super::bulk;").modules().contains("bulk"));
    assert!(found("flight/mod.rs", "use crate::*;").modules().contains("*"));
    assert!(found("flight/mod.rs", "use super::*;").modules().contains("*"));
    assert!(Source::parse(Path::new("main.rs"), "use textflight::bulk;", false).found.modules().contains("bulk"));
    assert!(
        Source::parse(Path::new("main.rs"), "fn f() { textflight::bulk::x() }", false).found.modules().contains("bulk")
    );
}

#[test]
fn what_only_looks_like_a_module_is_none() {
    for code in [
        "// use crate::bulk;",
        "/* crate::bulk */ fn f() { let x = \"crate::bulk\"; }",
        "#[cfg(test)]\nmod tests { use crate::bulk; }",
        "#[cfg(test)]\nuse crate::bulk;",
        "#[cfg(all(test, unix))]\nfn f() { crate::bulk::pair(); }",
        "#[test]\nfn f() { crate::bulk::pair(); }",
        "use self::bulk::Lane;",
        "use super::bulk::Lane;",
        "use crate::bulky;",
        "use crate::flight::bulk;",
        "fn f() { x.bulk.y(); other::bulk(); }",
    ] {
        assert!(!found("flight/service.rs", code).modules().contains("bulk"), "{code}");
    }
    assert!(!Source::parse(Path::new("main.rs"), "use crate::bulk;", false).found.modules().contains("bulk"));
}

#[test]
fn outside_crates_are_found_however_they_are_written() {
    for code in [
        "use tonic::Status;",
        "use ::tonic::Status;",
        "use tonic as wire;",
        "use {std::fmt, tonic::{Code, Status}};",
        "extern crate tonic;",
        "fn f() -> tonic::Status {}",
        "#[tonic::async_trait] impl X for Y {}",
        "fn f() { matches!(x, tonic::Code::Ok) }",
    ] {
        assert!(found("cog/mod.rs", code).uses_crate("tonic"), "{code}");
    }
    for code in ["use my_tonic::Status;", "// tonic::Status", "use crate::tonic::Status;", "fn f() { tonic() }"] {
        assert!(!found("cog/mod.rs", code).uses_crate("tonic"), "{code}");
    }
}

#[test]
fn unsafe_code_is_found_however_it_is_written() {
    for code in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for X {}",
        "unsafe extern \"C\" { fn f(); }",
        "#[unsafe(no_mangle)] fn f() {}",
        "macro_rules! m { () => { unsafe { f() } } }",
    ] {
        assert!(found("cog/mod.rs", code).has_unsafe(), "{code}");
    }
    assert!(!found("cog/mod.rs", "// unsafe {\nfn f() { let x = \"unsafe {\"; }").has_unsafe());
}

#[test]
fn lines_for_tests_alone_do_not_count() {
    let lines = |code| Source::parse(Path::new("cog/mod.rs"), code, true).lines;
    assert_eq!(lines("fn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n"), 2);
    assert_eq!(lines("#[cfg(test)]\nmod tests;\n\nfn f() {}\nfn g() {}\n"), 3);
}
