//! `textflight predict`

use std::path::PathBuf;

use clap::Args;
use textflight::auth::Token;
use textflight::cog::command::RemoteUrl;

use super::ModelArgs;

/// `textflight predict`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  textflight predict -i texts='[\"I hate apple\", \"I love apple\"]'
  textflight predict -i texts=@input.json -o output.json
  textflight predict --json '{\"texts\": \"I love apple\"}'
  textflight predict --url http://127.0.0.1:5000 -i texts='[\"I love apple\"]'

What is typed goes before the environment: -i before TEXTFLIGHT_JSON (which is also score's), --json \
before TEXTFLIGHT_INPUT. With --url TEXTFLIGHT_MODEL is not read from.")]
pub struct PredictArgs {
    /// An input, as name=value or name=@file. The one that the model has is texts: a JSON list of texts, or one text.
    #[arg(short, long = "input", env = "TEXTFLIGHT_INPUT", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// All inputs as a JSON object with the one member texts, a string; @FILE reads it from a file, - from stdin.
    #[arg(long, env = "TEXTFLIGHT_JSON", value_name = "OBJECT|@FILE|-")]
    pub json: Option<String>,
    /// Where the output goes instead of stdout.
    #[arg(short, long, env = "TEXTFLIGHT_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Ask the server that runs there instead of loading a model.
    #[arg(long, env = "TEXTFLIGHT_URL", value_name = "http://HOST:PORT")]
    pub url: Option<RemoteUrl>,
    /// What that server asks of its clients: sent as a Bearer token.
    #[arg(long, env = "TEXTFLIGHT_API_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub api_token: Option<Token>,
    /// Which checkpoint, and how it runs.
    #[command(flatten)]
    pub model: ModelArgs,
}
