//! Logs on stderr.

use std::io::IsTerminal;

use textflight::{Error, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::{LogArgs, LogFormat};
use crate::config::LOG_LEVEL;

/// Sends logs to stderr.
///
/// # Errors
/// [`Error::Invalid`] when the filter cannot be read.
pub fn init(args: &LogArgs) -> Result<()> {
    let level = match (&args.log, &args.cog_log_level) {
        (Some(level), _) => level.clone(),
        (None, Some(level)) => from_python(level),
        (None, None) => LOG_LEVEL.to_owned(),
    };
    let filter = EnvFilter::builder()
        .parse(&level)
        .map_err(|e| Error::Invalid(format!("--log {level:?}: {e}; expected a level such as info, or target=level")))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal();
    match args.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(colours).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

/// A level of Python's by our name for it.
fn from_python(level: &str) -> String {
    match level.to_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        level => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_s_levels_have_our_names() {
        let ours = ["DEBUG", "info", "Warning", "ERROR", "critical"].map(from_python);
        assert_eq!(ours, ["debug", "info", "warn", "error", "error"]);
    }
}
