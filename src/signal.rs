//! The signals that end a process.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

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

/// Listens for SIGTERM and Ctrl-C from now on; the future ends with the first. A second signal ends the process at once, also where
/// something else than a signal has begun its end, and nobody waits for the future any more.
pub fn first() -> impl Future<Output = ()> {
    let (sender, first) = oneshot::channel();
    // Without handlers the system's own apply, which end the process.
    if let (Ok(terminate), Ok(interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        tokio::spawn(listen([terminate, interrupt], sender));
    }
    async {
        if first.await.is_err() {
            pending::<()>().await;
        }
    }
}

#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "the person asked twice not to wait")]
async fn listen(mut signals: [Signal; 2], first: oneshot::Sender<()>) {
    one_of(&mut signals).await;
    // Nobody may wait for it any more.
    let _ = first.send(());
    one_of(&mut signals).await;
    eprintln!("error: a second signal; stopped at once");
    std::process::exit(1);
}

async fn one_of([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
