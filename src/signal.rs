//! The signals that end a process.

use tokio::signal::unix::{SignalKind, signal};

/// Ends with [`first`], or with the other one where there is one.
pub fn first_or(other: Option<impl Future<Output = ()>>) -> impl Future<Output = ()> {
    let signal = first();
    async {
        let Some(other) = other else { return signal.await };
        tokio::select! {
            () = signal => {}
            () = other => {}
        }
    }
}

/// Listens for SIGTERM and Ctrl-C from now on; the future ends with the first. A second signal ends the process at once.
pub fn first() -> impl Future<Output = ()> {
    let listeners = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
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
