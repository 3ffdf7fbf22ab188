//! Panics of dependencies. Some crates that read what strangers wrote panic at what they cannot read: caught here, that is an
//! error like any other, and what the standard library prints of a panic does not reach the user's terminal.
//!
//! A panic of our own code is a bug: it is caught too, so that nobody hangs, but it is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Once};
use std::task::Poll;

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::debug;

use crate::Error;

thread_local! {
    /// Whether this thread is within [`caught`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the thread's last panic was that was not printed.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a panic had to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Panicked(String);

/// Does `work`, which calls code that may panic.
///
/// # Errors
/// [`Panicked`] if it does.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    install_hook();
    let outer = CATCHING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    done.map_err(|panic| {
        let text = panic_text(&*panic);
        debug!(place = PLACE.take(), text, "a panic was caught");
        Panicked(text.to_owned())
    })
}

/// The output of `future`, which calls code that may panic.
///
/// # Errors
/// [`Panicked`] if it does.
pub async fn caught_future<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Runs what waits for files or takes a while where that holds nobody up.
///
/// # Errors
/// Those of `work`, and [`Error::Failed`] if it panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> crate::Result<T> + Send + 'static) -> crate::Result<T> {
    joined(spawn_blocking(work)).await
}

/// The same of work that goes on for long: it is given what says whether anybody waits for it still.
///
/// # Errors
/// As [`blocking`].
pub async fn blocking_while_awaited<T: Send + 'static>(
    work: impl FnOnce(&dyn Fn() -> bool) -> crate::Result<T> + Send + 'static,
) -> crate::Result<T> {
    let awaited = Arc::new(());
    let waits = Arc::downgrade(&awaited);
    let done = blocking(move || work(&|| waits.strong_count() > 0)).await;
    drop(awaited);
    done
}

/// What a thread of [`spawn_blocking`] ended with.
///
/// # Errors
/// As [`blocking`].
pub async fn joined<T>(thread: JoinHandle<crate::Result<T>>) -> crate::Result<T> {
    thread.await.unwrap_or_else(|died| Err(Error::Failed(format!("met a bug of textflight: {died}"))))
}

/// Keeps what is caught and not ours from being printed. Whatever printed panics before goes on to print the others.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if CATCHING.get() && !is_ours(panic) {
                PLACE.set(panic.location().map(ToString::to_string));
            } else {
                print(panic);
            }
        }));
    });
}

/// Whether the code that panicked lies beside this file, or is a kernel's: what cargo fetched lies elsewhere.
fn is_ours(panic: &PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|place| is_our_file(place.file()))
}

fn is_our_file(file: &str) -> bool {
    let root = file!().trim_end_matches("src/panics.rs");
    file.strip_prefix(root).is_some_and(|path| path.starts_with("src/") || path.starts_with("kernels/src/"))
}

/// What `panic!` was given.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics in the standard library's code, as a dependency would in its own.
    fn foreign() -> u8 {
        let sort = |values: &mut [u8]| values.sort_by(|_, _| std::panic::resume_unwind(Box::new("foreign")));
        sort(&mut [1, 2, 3]);
        0
    }

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(foreign).unwrap_err().to_string(), "foreign");
        let formatted = caught(|| panic!("of {}", "ours"));
        assert_eq!(formatted.unwrap_err().to_string(), "of ours");
    }

    #[test]
    fn what_is_ours_lies_in_the_two_crates() {
        let beside = |path: &str| file!().replace("src/panics.rs", path);
        assert!(is_our_file(file!()) && is_our_file(&beside("kernels/src/tile.rs")));
        assert!(
            !is_our_file("/registry/src/index/arrow-60.1.0/src/lib.rs") && !is_our_file(&beside("vendor/src/lib.rs"))
        );
    }

    #[test]
    fn one_within_another_leaves_the_outer_catching() {
        let outer = caught(|| {
            assert!(caught(foreign).is_err());
            CATCHING.get()
        });
        assert_eq!(outer, Ok(true));
        assert!(!CATCHING.get());
    }
}
