//! What is typed goes before what the environment says, also where two options exclude one another.
//!
//! clap takes a variable for a typed option when it looks for conflicts. `TEXTFLIGHT_MODEL` in an image would then
//! forbid `predict --url` there.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::{Cli, Command, PredictArgs, ScoreArgs};

/// Options that say how a model runs in this process.
const MODEL_OPTIONS: [&str; 10] = [
    "model",
    "device",
    "cuda_libraries",
    "dtype",
    "kernels",
    "max_length",
    "batch_rows",
    "batch_tokens",
    "batch_latency_ms",
    "threads",
];

/// Options of servers that score instead, besides that which names them.
const SERVER_OPTIONS: [&str; 4] = ["server_timeout", "server_token", "server_token_file", "server_ca"];

impl Cli {
    /// The arguments of this process. Wrong ones end it with exit code 2.
    pub fn read() -> Self {
        Self::read_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read_from(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let settled = match (&mut cli.command, matches.subcommand()) {
            (Command::Predict(args), Some((name, given))) => args.settle(given).map_err(|message| (name, message)),
            (Command::Score(args), Some((name, given))) => args.settle(given).map_err(|message| (name, message)),
            _ => Ok(()),
        };
        if let Err((name, message)) = settled {
            let command = command.find_subcommand_mut(name);
            return Err(command.map_or_else(
                || clap::Error::new(ErrorKind::ArgumentConflict),
                |command| command.error(ErrorKind::ArgumentConflict, message),
            ));
        }
        Ok(cli)
    }
}

impl PredictArgs {
    /// Leaves one of two options that exclude one another, or says why not.
    fn settle(&mut self, given: &ArgMatches) -> Result<(), String> {
        let typed = |id: &str| is_typed(given, id);
        if self.json.is_some() && !self.inputs.is_empty() {
            match (typed("json"), typed("inputs")) {
                (true, false) => self.inputs.clear(),
                (false, true) => self.json = None,
                _ => return Err("inputs come by -i or by --json, not by both".to_owned()),
            }
        }
        if typed("api_token") && self.url.is_none() {
            return Err("--api-token is for a server: add --url".to_owned());
        }
        if self.url.is_some() { has_a_model(given, "--url (or TEXTFLIGHT_URL)") } else { Ok(()) }
    }
}

impl ScoreArgs {
    /// Says which options are for another place than the one where the model is.
    fn settle(&self, given: &ArgMatches) -> Result<(), String> {
        if !self.remote.server.is_empty() {
            return has_a_model(given, "--server (or TEXTFLIGHT_SERVER)");
        }
        match SERVER_OPTIONS.iter().find(|id| is_typed(given, id)) {
            Some(id) => Err(format!("--{} is for a server: add --server", id.replace('_', "-"))),
            None => Ok(()),
        }
    }
}

fn is_typed(given: &ArgMatches, id: &str) -> bool {
    given.value_source(id) == Some(ValueSource::CommandLine)
}

/// Refuses options of a model here where `option` says that it is elsewhere.
fn has_a_model(given: &ArgMatches, option: &str) -> Result<(), String> {
    match MODEL_OPTIONS.iter().find(|id| is_typed(given, id)) {
        Some(id) => {
            let typed = id.replace('_', "-");
            Err(format!("--{typed} is for a model here, but {option} asks a server, which has its own"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predict(arguments: &[&str]) -> Result<PredictArgs, clap::Error> {
        let cli = Cli::read_from(["textflight", "predict"].iter().chain(arguments))?;
        match cli.command {
            Command::Predict(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_conflict(arguments: &[&str], expected: &str) {
        let error = predict(arguments).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ArgumentConflict, 2));
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn one_way_for_the_inputs_to_come() {
        check_conflict(&["--json", "{}", "-i", "texts=a"], "not by both");
        assert_eq!(predict(&["--json", "-"]).unwrap().json.as_deref(), Some("-"));
        assert_eq!(predict(&["-i", "texts=a", "-i", "b"]).unwrap().inputs, ["texts=a", "b"]);
    }

    #[test]
    fn a_server_has_its_own_model() {
        let url = ["--url", "http://localhost:5000"];
        assert!(predict(&url).unwrap().url.is_some());
        check_conflict(&[&url[..], &["--model", "data/sst2-mini"]].concat(), "--model is for a model here");
        check_conflict(&["--api-token", "hush"], "add --url");
        check_conflict(&[&url[..], &["--max-length", "8"]].concat(), "--max-length is for a model here");
    }

    fn score(arguments: &[&str]) -> Result<ScoreArgs, clap::Error> {
        let cli = Cli::read_from(["textflight", "score", "in", "-o", "out"].iter().chain(arguments))?;
        match cli.command {
            Command::Score(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn servers_have_their_own_model() {
        let two = ["--server", "grpc://a:1,grpc://b:2", "--server", "grpc+tls://c:3"];
        assert_eq!(score(&two).unwrap().remote.server.len(), 3);
        for (arguments, expected) in [
            (vec!["--device", "cpu", "--server", "grpc://a:1"], "--device is for a model here, but --server"),
            (vec!["--server-timeout", "3"], "--server-timeout is for a server: add --server"),
            (vec!["--server-token-file", "f"], "--server-token-file is for a server: add --server"),
            (vec!["--server-ca", "f"], "--server-ca is for a server: add --server"),
            (vec!["--server", "a:1"], "expected grpc://HOST:PORT"),
        ] {
            let error = score(&arguments).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn the_model_options_are_all_there_are() {
        let command = Cli::command();
        let predict = command.find_subcommand("predict").unwrap();
        let model = predict.get_arguments().filter(|option| option.get_help_heading() == Some("Model"));
        let ids: Vec<&str> = model.map(|option| option.get_id().as_str()).collect();
        assert_eq!(ids, MODEL_OPTIONS);
        let score = command.find_subcommand("score").unwrap();
        let servers = score.get_arguments().filter(|o| o.get_help_heading() == Some("Model on other machines"));
        let ids: Vec<&str> = servers.map(|option| option.get_id().as_str()).collect();
        assert_eq!(ids, [&["server"][..], &SERVER_OPTIONS].concat());
    }
}
