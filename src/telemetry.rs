//! Logs on stderr, and the signals that end a process.

use std::io::IsTerminal;

use textflight::{Error, Result};
use tokio::signal::unix::{SignalKind, signal as listen};
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

/// Listens for SIGTERM and Ctrl-C from now on; the future ends with the first. A second signal ends the process at once.
pub fn signal() -> impl Future<Output = ()> {
    let listeners = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    async {
        let (Ok(mut term), Ok(mut interrupt)) = listeners else {
            // Without handlers the system's own apply, which end the process.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        #[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "the person asked twice not to wait")]
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            eprintln!("error: a second signal; stopped at once");
            std::process::exit(1);
        });
    }
}
