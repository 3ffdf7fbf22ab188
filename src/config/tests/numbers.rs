//! What is typed as a number: it has a unit and a default, and its extremes are taken or refused in words.

use textflight::server::Server;
use tokio::runtime::Runtime;

use super::*;

/// What stands for a number in help, which is its unit as well.
const UNITS: [&str; 8] = ["BYTES", "MIB", "MS", "N", "ROWS", "SECONDS", "TOKENS", "auto|TOKENS"];

/// What stands for anything else.
const OTHERS: [&str; 13] = [
    "DEVICE",
    "DTYPE",
    "FILE",
    "FOLDER",
    "FOLDER|ID|bundled",
    "HOST:PORT",
    "KERNELS",
    "LEVEL",
    "LOG_FORMAT",
    "NAME=PATH",
    "OWNER/NAME[:VERSION]",
    "TOKEN",
    "URL",
];

/// Cog's, which help does not show.
const HIDDEN: [&str; 2] = ["cog-max-concurrency", "port"];

/// As little and as much as can be typed, and what comes near to a number.
const EXTREMES: [&str; 13] = [
    "0",
    "1",
    "-1",
    "0.5",
    "1e-300",
    "1e300",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "nan",
    "1x",
    "\u{661}",
];

fn options(name: &str) -> Vec<Arg> {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand(name).unwrap();
    command
        .get_arguments()
        .filter(|option| option.get_action().takes_values() && option.get_long().is_some())
        .cloned()
        .collect()
}

fn unit(option: &Arg) -> String {
    option.get_value_names().unwrap()[0].to_string()
}

#[test]
fn every_number_has_its_unit_and_its_default() {
    for option in options("serve").iter().filter(|option| !option.is_hide_set()) {
        let (unit, help) = (unit(option), option.get_help().map(ToString::to_string).unwrap_or_default());
        if UNITS.contains(&&*unit) {
            let has_default = !option.get_default_values().is_empty() || help.contains("[default: ");
            assert!(has_default, "{option}: {help}");
        } else {
            assert!(OTHERS.contains(&&*unit), "{option} is a number or none: say which");
        }
        assert!(help.len() > 15, "{option}");
    }
}

/// What comes of a command line: it runs, or is told what is wrong with it.
fn begin(runtime: &Runtime, arguments: &str) -> Result<(), String> {
    let cli = Cli::try_parse_from(["textflight"].into_iter().chain(arguments.split(' '))).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{arguments}: {error}");
        error.to_string()
    })?;
    let Command::Serve(args) = cli.command else {
        meaning(arguments);
        return Ok(());
    };
    let _ = args.engine();
    let served = runtime.block_on(async {
        // It ends before there is a model.
        Server::bind(args.server()?).await?.run(std::future::pending(), async {}).await
    });
    served.map_err(|error| {
        assert!(matches!(error, Error::Invalid(_)), "{arguments}: {error}");
        error.to_string()
    })
}

#[test]
fn extremes_are_taken_or_refused_in_words() {
    let runtime = Runtime::new().unwrap();
    let mut taken = 0;
    for (command, needed) in
        [("serve", " --flight 127.0.0.1:0 --http 127.0.0.1:0"), ("score", " in -o out"), ("predict", ""), ("check", "")]
    {
        let numbers = options(command).into_iter().filter(|option| {
            UNITS.contains(&&*unit(option)) || option.get_long().is_some_and(|long| HIDDEN.contains(&long))
        });
        for option in numbers {
            let long = option.get_long().unwrap();
            for value in EXTREMES {
                let given = format!("{command}{needed} --{long}={value}");
                match begin(&runtime, &given) {
                    Ok(()) => taken += 1,
                    Err(error) => {
                        let is_said = ["expected ", "less than ", "more than "].iter().any(|word| error.contains(word));
                        assert!(error.contains(long) && error.contains(value) && is_said, "{given}: {error}");
                    }
                }
            }
        }
    }
    assert!(taken > 50, "{taken}");
}
