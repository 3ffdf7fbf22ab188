//! Logs on stderr.

use std::io::IsTerminal;

use textflight::{Error, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::{LogArgs, LogFormat};

/// Sends logs to stderr.
///
/// # Errors
/// [`Error::Invalid`] when the filter cannot be read.
pub fn init(args: &LogArgs) -> Result<()> {
    let filter = EnvFilter::builder().parse(&args.log).map_err(|e| {
        Error::Invalid(format!("--log {:?}: {e}; expected a level such as info, or target=level", args.log))
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal();
    match args.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(colours).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}
