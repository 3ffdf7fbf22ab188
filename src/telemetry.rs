//! Logs on stderr, and traces where they are asked for.

use std::io::IsTerminal;

use textflight::traces::{TARGET, Traces};
use textflight::{Error, Result};
use tracing::info;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::cli::{LogArgs, LogFormat};
use crate::config::defaults::LOG_LEVEL;

/// Sends logs to stderr, and spans to `traces`.
///
/// # Errors
/// [`Error::Invalid`] when the filter cannot be read.
pub fn init(args: &LogArgs, traces: Option<&Traces>) -> Result<()> {
    let level = match (&args.log, &args.cog_log_level) {
        (Some(level), _) => level.clone(),
        (None, Some(level)) => from_python(level),
        (None, None) => LOG_LEVEL.to_owned(),
    };
    let filter = EnvFilter::builder()
        .parse(&level)
        .map_err(|e| Error::Invalid(format!("--log {level:?}: {e}; expected a level such as info, or target=level")))?;
    // Whatever the filter asks for: without traces these spans are never made.
    let filter = filter.and(Targets::new().with_default(LevelFilter::TRACE).with_target(TARGET, LevelFilter::OFF));
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs = match args.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    registry().with(traces.map(Traces::layer)).with(logs.with_filter(filter)).init();
    if let Some(traces) = traces {
        info!(endpoint = traces.shown(), "traces are sent");
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
