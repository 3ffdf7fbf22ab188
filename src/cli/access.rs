//! Who may ask a server for something.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use textflight::auth::{MAX_TOKENS, Token};
use textflight::reload::LOOKS;

/// Tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Refuse clients that do not send this token: `Authorization: Bearer TOKEN`, over HTTP and Flight. Its name is api-token.
    #[arg(long, env = "TEXTFLIGHT_API_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub api_token: Option<Token>,
    #[arg(long, env = "TEXTFLIGHT_TOKEN_FILE", value_name = "FILE", value_delimiter = ',', help = format!(
        "Take the tokens of a file, too: NAME TOKEN a line, at most {MAX_TOKENS}; the log shows the names. Blank lines and lines \
         that begin with # are passed over. A file that changes is read again within {} s. To be given several times, or with \
         commas between.", 2 * LOOKS.as_secs()))]
    pub token_file: Vec<PathBuf>,
    /// Serve whoever comes, also beyond this machine: without it an address that is not loopback needs a token.
    #[arg(long, env = "TEXTFLIGHT_ALLOW_ANONYMOUS", value_parser = BoolishValueParser::new())]
    pub allow_anonymous: bool,
}
