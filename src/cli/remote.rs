//! Servers that score for a command.

use std::path::PathBuf;

use clap::Args;
use textflight::auth::Token;
use textflight::remote::ServerAddress;

use super::values::seconds;
use crate::config::defaults::SERVER_SECONDS;

/// Servers that score instead of a model in this process.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model on other machines")]
pub struct RemoteArgs {
    /// Score by the servers that run there (textflight serve) instead of loading a model: all with the same one. To be given
    /// several times, or with commas between; work goes to whoever has room. grpc+tls:// encrypts.
    #[arg(long, env = "TEXTFLIGHT_SERVER", value_name = "grpc://HOST:PORT", value_delimiter = ',')]
    pub server: Vec<ServerAddress>,
    /// How long the work may wait in which none of the servers is there; then the run fails.
    #[arg(long, env = "TEXTFLIGHT_SERVER_TIMEOUT", value_name = "SECONDS", default_value_t = SERVER_SECONDS, value_parser = seconds)]
    pub server_timeout: f64,
    /// What those servers ask of their clients: sent as a Bearer token.
    #[arg(long, env = "TEXTFLIGHT_SERVER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub server_token: Option<Token>,
    /// The same out of a file that has nothing else, read for each connection. It goes before --server-token.
    #[arg(long, env = "TEXTFLIGHT_SERVER_TOKEN_FILE", value_name = "FILE")]
    pub server_token_file: Option<PathBuf>,
    /// The authorities, in PEM, beside which none is trusted to say who those servers are. Object stores are known as without it,
    /// by what the environment names or the system trusts.
    #[arg(long, env = "TEXTFLIGHT_SERVER_CA", value_name = "FILE")]
    pub server_ca: Option<PathBuf>,
}
