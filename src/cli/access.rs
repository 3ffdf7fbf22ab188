//! Who may ask a server for something.

use std::path::PathBuf;

use clap::Args;
use textflight::auth::{MAX_TOKENS, Token};
use textflight::reload::LOOKS;

use super::values::yes_or_no;

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
    /// Serve whoever comes, also beyond this machine: without it an address that is not loopback needs tokens or
    /// --tls-client-ca.
    #[arg(long, env = "TEXTFLIGHT_ALLOW_ANONYMOUS", value_parser = yes_or_no)]
    pub allow_anonymous: bool,
    /// Encryption.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// TLS on both ports.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct TlsArgs {
    #[arg(id = "tls_cert", long = "tls-cert", env = "TEXTFLIGHT_TLS_CERT", value_name = "FILE", help = format!(
        "Encrypt both ports with this certificate (PEM), and behind it those that lead to its authority's. All files of TLS \
         are read again within {} s when they change; new ones that cannot be used leave the old ones in use.",
        2 * LOOKS.as_secs()))]
    pub cert: Option<PathBuf>,
    /// The certificate's private key (PEM: PKCS#8, PKCS#1 or SEC1), not encrypted.
    #[arg(id = "tls_key", long = "tls-key", env = "TEXTFLIGHT_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Refuse clients without a certificate that one of these authorities (PEM) has signed.
    #[arg(id = "tls_client_ca", long = "tls-client-ca", env = "TEXTFLIGHT_TLS_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
}
