//! What the arguments mean, from the command line on.

mod numbers;

use std::num::NonZeroUsize;
use std::path::Path;

use clap::{Arg, CommandFactory, Parser};
use textflight::classifier::kernels::Family;
use textflight::classifier::{DTypeChoice, DeviceChoice, KernelChoice, Precision};

use super::*;
use crate::cli::{Cli, Command};

fn command(arguments: &str) -> Command {
    Cli::try_parse_from(["textflight"].into_iter().chain(arguments.split(' '))).unwrap().command
}

fn serve(arguments: &str) -> ServeArgs {
    match command(format!("serve {arguments}").trim()) {
        Command::Serve(args) => args,
        other => panic!("{other:?}"),
    }
}

/// All that a command line comes to, in words.
fn meaning(arguments: &str) -> String {
    match command(arguments) {
        Command::Serve(args) => format!("{:?} {:?} {:?}", args.model.classifier(), args.engine(), args.server()),
        Command::Score(args) => {
            let columns = ScoreOptions::from(&args.columns);
            let model = format!("{:?} {:?} {:?}", args.model.model, args.model.classifier(), args.model.engine());
            let progress = ProgressKind::from(args.progress);
            let (remote, timeout, memory) = (args.remote.options(), args.remote.server_timeout, args.dedup_memory);
            format!("{model} {remote:?} {timeout:?} {columns:?} {progress:?} {memory}")
        }
        Command::Predict(args) => format!("{:?} {:?}", args.model.classifier(), args.model.engine()),
        Command::Check(args) => format!("{:?}", args.options(Path::new("scratch"))),
        Command::Schema => String::new(),
    }
}

/// The default that an option's help names, if it is a value, or several.
fn shown(option: &Arg) -> Option<String> {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let typed = help.split_once("[default: ").and_then(|(_, rest)| rest.split([',', ']']).next()).map(str::to_owned);
    let known: Vec<_> = option.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let known = (!known.is_empty()).then(|| known.join(","));
    known.or(typed).filter(|value| !value.contains(' '))
}

/// Where the machine has little memory, less than the default holds.
const SMALLER_ON_SMALL_MACHINES: &str = "memory-limit";

/// To give an option the default that its help shows changes nothing.
#[test]
fn the_defaults_that_help_shows_are_those_that_hold() {
    let mut checked = 0;
    for (name, needed) in [("serve", ""), ("score", " in.parquet -o out.parquet"), ("predict", ""), ("check", "")] {
        let alone = format!("{name}{needed}");
        let mut cli = Cli::command();
        cli.build();
        let command = cli.find_subcommand(name).unwrap();
        for option in command.get_arguments().filter(|option| !option.is_hide_set() && option.get_long().is_some()) {
            let Some(value) = shown(option) else { continue };
            let long = option.get_long().unwrap();
            let given = format!("{alone} --{long} {value}");
            if option.get_action().takes_values() && long != SMALLER_ON_SMALL_MACHINES {
                assert_eq!(meaning(&given), meaning(&alone), "{given}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked} defaults were found");
}

#[test]
fn the_contract_has_its_defaults() {
    let args = serve("");
    let server = args.server().unwrap();
    assert_eq!(
        (server.flight.to_string(), server.http.to_string()),
        ("127.0.0.1:8815".into(), "127.0.0.1:5000".into())
    );
    let classifier = args.model.classifier();
    assert_eq!((classifier.max_length, classifier.dtype), (128, DTypeChoice::Auto));
    assert_eq!((classifier.device, classifier.kernels), (DeviceChoice::Auto, KernelChoice::Auto));
    let engine = args.engine();
    assert_eq!(engine.batch_rows.map(NonZeroUsize::get), Some(32));
    assert!(engine.background && !args.model.engine().background, "only a server's model gives way to its clients");
}

#[test]
fn megabytes_and_seconds_are_what_they_say() {
    let limits = serve("--max-message-mib 3 --stall-timeout 0.5").server().unwrap().flight_limits;
    assert_eq!((limits.message_bytes, limits.stall_timeout), (3 * 1024 * 1024, Duration::from_millis(500)));
    assert_eq!(serve("--drain-timeout 7").server().unwrap().drain_timeout, Duration::from_secs(7));
}

#[test]
fn tables_over_http_have_their_bounds() {
    let limits = |arguments| serve(arguments).server().unwrap().rest;
    let defaults = limits("");
    assert_eq!((defaults.body_bytes, defaults.requests), (4 << 30, 16));
    assert_eq!((defaults.stall_timeout, defaults.spool.limit()), (Duration::from_mins(1), 8 << 30));
    let given = limits("--max-score-body 1MiB --max-score-requests 2 --stall-timeout 3 --spool-limit 5KiB");
    assert_eq!((given.body_bytes, given.requests), (1 << 20, 2));
    assert_eq!((given.stall_timeout, given.spool.limit()), (Duration::from_secs(3), 5 << 10));
    let error = serve("--spool-dir /nowhere/at/all").server().unwrap_err().to_string();
    assert!(error.starts_with("--spool-dir /nowhere/at/all: "), "{error}");
}

#[test]
fn cogs_variables_stand_behind_our_own() {
    let http = |arguments| serve(arguments).server().unwrap().http.to_string();
    assert_eq!(http("--port 80"), "0.0.0.0:80", "loopback would reach nobody in a container");
    assert_eq!(http("--port 80 --http 127.0.0.1:81"), "127.0.0.1:81");
    let concurrent = |arguments| serve(arguments).server().unwrap().cog.limits.predictions.concurrent;
    assert_eq!(concurrent("--cog-max-concurrency 3"), 3);
    assert_eq!(concurrent("--cog-max-concurrency 3 --max-concurrent-predictions 4"), 4);
}

#[test]
fn a_measured_budget_bounds_the_rows_unless_they_are_said() {
    let rows = |arguments| serve(arguments).engine().batch_rows.map(NonZeroUsize::get);
    assert_eq!(rows("--batch-tokens auto"), None);
    assert_eq!(rows("--batch-tokens auto --batch-rows 8"), Some(8));
    assert_eq!(rows("--batch-tokens 9000"), Some(32));
}

#[test]
fn a_batch_may_have_its_tokens_and_its_time() {
    let engine = |arguments| serve(arguments).engine();
    assert_eq!((engine("").batch_tokens, engine("").batch_latency), (None, None));
    assert_eq!(engine("--batch-latency-ms 2.5").batch_latency, Some(Duration::from_micros(2500)));
    let budget = engine("--batch-tokens 9000").batch_tokens.map(|budget| budget.to_string());
    assert_eq!(budget.as_deref(), Some("9000"));
}

#[test]
fn progress_is_told_as_it_was_asked_for() {
    use ProgressKind::{Auto, Bar, Json, Lines, None};
    let progress = |arguments| match command(&format!("score in -o out{arguments}")) {
        Command::Score(args) => ProgressKind::from(args.progress),
        other => panic!("{other:?}"),
    };
    let asked = ["", " --progress bar", " --progress lines", " --progress json", " --progress none"].map(progress);
    assert_eq!(asked, [Auto, Bar, Lines, Json, None]);
}

#[test]
fn columns_are_as_they_were_named() {
    let Command::Score(args) = command(
        "score in -o out --text body --labels id --details --probabilities --label-column l --confidence-column c --on-error null",
    ) else {
        panic!("another command")
    };
    let expected = ScoreOptions {
        text: Some(TextColumns::one("body")),
        labels: LabelKind::Id,
        details: true,
        probabilities: true,
        label_column: "l".to_owned(),
        confidence_column: "c".to_owned(),
        on_error: OnError::Null,
        ..ScoreOptions::default()
    };
    assert_eq!(ScoreOptions::from(&args.columns), expected);
    let Command::Score(args) = command("score in -o out --text title --text post.body") else {
        panic!("another command")
    };
    let several = TextColumns::Several(vec!["title".to_owned(), "post.body".to_owned()]);
    let expected = ScoreOptions { text: Some(several), ..ScoreOptions::default() };
    assert_eq!(ScoreOptions::from(&args.columns), expected);
}

#[test]
fn servers_are_named_and_waited_for() {
    let remote = |arguments: &str| match command(format!("score in -o out{arguments}").as_str()) {
        Command::Score(args) => args.remote,
        other => panic!("{other:?}"),
    };
    assert!(remote("").options().is_none());
    assert_eq!(remote("").in_flight(), defaults::JOB_IN_FLIGHT);
    let options = remote(" --server grpc://a:1").options().unwrap();
    assert_eq!((options.timeout, options.access.token_file), (Duration::from_mins(1), None));
    let given = remote(
        " --server grpc://a:1,grpc://b:2 --server-timeout 1.5 --server-token-file f --server-token hush --server-ca c",
    );
    let options = given.options().unwrap();
    assert_eq!((options.timeout, options.servers.len()), (Duration::from_millis(1500), 2));
    assert_eq!(options.access.token_file.as_deref(), Some(Path::new("f")));
    assert_eq!(options.access.ca.as_deref(), Some(Path::new("c")));
    assert!(!format!("{given:?} {options:?}").contains("hush"));
    assert_eq!(given.in_flight().rows, 3 * defaults::JOB_IN_FLIGHT.rows, "one more than can be scored at a time");
}

#[test]
fn a_tiny_check_is_small_unless_it_is_told() {
    let options = |arguments| match command(arguments) {
        Command::Check(args) => args.options(Path::new("scratch")),
        other => panic!("{other:?}"),
    };
    let tiny = options("check --tiny --rows 5");
    assert_eq!((tiny.agreement_texts.get(), tiny.rows.get(), tiny.duration), (64, 5, Duration::ZERO));
    assert_eq!((tiny.work.as_path(), options("check --work w").work.as_path()), (Path::new("scratch"), Path::new("w")));
    assert_eq!(options("check").duration, Duration::from_secs(2));
}

#[test]
fn a_precision_is_the_one_that_was_named() {
    assert_eq!(serve("--dtype int8").model.classifier().dtype, DTypeChoice::Exactly(Precision::Int8));
    let portable = serve("--kernels portable").model.classifier().kernels;
    assert_eq!(portable, KernelChoice::Exactly(Family::Portable));
}

#[test]
fn uploads_have_their_bounds_and_their_share_of_the_memory() {
    let limits = |arguments| serve(arguments).server().unwrap().catalog.uploads.limits();
    let own = limits("--memory-limit 1GiB");
    assert_eq!((own.uploads, own.table.rows, own.table.bytes), (16, 100_000_000, 2 << 30));
    assert_eq!((own.table.memory_bytes, own.expiry), (4 << 20, Duration::from_hours(1)));
    let small = limits("--memory-limit 32MiB --max-uploads 4 --upload-limit 1MiB --upload-rows 7 --upload-expiry 0.5");
    assert_eq!((small.uploads, small.table.rows, small.table.bytes), (4, 7, 1 << 20));
    assert_eq!((small.table.memory_bytes, small.expiry), (512 << 10, Duration::from_millis(500)));
    assert_eq!(limits("--upload-memory 0").table.memory_bytes, 0);
}

#[test]
fn a_server_has_a_page_unless_told_otherwise() {
    assert!(serve("").server().unwrap().page);
    assert!(!serve("--no-page").server().unwrap().page);
}
