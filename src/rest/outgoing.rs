//! An answer on its way out: a task makes the pieces, a short channel carries them as fast as they are read, and an answer
//! that is not complete never looks as if it were.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::unfold;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{Instrument, warn};

use super::account::Book;
use super::time::RequestTime;
use crate::panics::caught_future;
use crate::{Error, Result};

/// Pieces that wait for the connection: enough to keep it busy while the next is made.
const PIECES: usize = 2;

/// What comes out of the task.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// How long the whole is, in bytes: comes first, if it comes.
    Length(u64),
    /// Nothing more, and all was there. A channel that just ends has not said so.
    End,
    Failed(Error),
}

/// The pieces of an answer. Dropping it ends the task that makes them.
pub struct Outgoing {
    /// What was taken out already.
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Piece>,
    task: JoinHandle<()>,
}

/// Where the task puts them.
#[derive(Clone)]
pub struct Outlet {
    pieces: mpsc::Sender<Piece>,
    stall_timeout: Duration,
}

impl Outgoing {
    /// Starts `work`, which may take that `time`; `book` is told if it fails. A piece that is left unread is an error of
    /// [`Outlet::send`].
    pub fn spawn<F>(time: RequestTime, book: Book, work: impl FnOnce(Outlet) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES);
        let outlet = Outlet { pieces: sender.clone(), stall_timeout: time.stall };
        let work = caught_future(time.bound(work(outlet)));
        let task = async move {
            let result = work.await.unwrap_or_else(|panicked| Err(Error::Failed(panicked.to_string())));
            let last = result.map_or_else(Piece::Failed, |()| Piece::End);
            if let Piece::Failed(error) = &last {
                warn!(%error, "an answer failed");
                book.fail(&error.to_string());
            }
            drop(book);
            // A client that is gone is not told, and one that does not read is told when it does.
            let _ = sender.send(last).await;
        };
        Self { first: None, pieces, task: tokio::spawn(task.in_current_span()) }
    }

    /// Waits for the answer to begin, and says how long it is, if that is known.
    ///
    /// # Errors
    /// What it failed with before.
    pub async fn begin(&mut self) -> Result<Option<u64>> {
        match self.pieces.recv().await {
            Some(Piece::Length(bytes)) => Ok(Some(bytes)),
            Some(Piece::Bytes(bytes)) => {
                self.first = Some(bytes);
                Ok(None)
            }
            Some(Piece::End) => {
                self.first = Some(Bytes::new());
                self.pieces.close();
                Ok(Some(0))
            }
            Some(Piece::Failed(error)) => Err(error),
            None => Err(gone()),
        }
    }

    /// The body of the answer. One that fails breaks off: HTTP/1 closes before the last chunk, HTTP/2 resets the stream.
    pub fn into_body(self) -> Body {
        Body::from_stream(unfold(Some(self), async |outgoing| {
            let mut outgoing = outgoing?;
            match outgoing.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(outgoing))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// The next piece; none at the end of an answer that is complete.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.pieces.recv().await {
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => Ok(None),
            Some(Piece::Failed(error)) => Err(error),
            Some(Piece::Length(_)) | None => Err(gone()),
        }
    }
}

fn gone() -> Error {
    Error::Failed("the answer broke off: its task is gone".to_owned())
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outlet {
    /// Passes a piece on, once there is room.
    ///
    /// # Errors
    /// [`Error::Stalled`] when the client does not read, [`Error::Cancelled`] when it is gone.
    pub async fn send(&self, bytes: Bytes) -> Result<()> {
        let room = timeout(self.stall_timeout, self.room()).await.map_err(|_| self.unread())?;
        room?.send(bytes);
        Ok(())
    }

    /// Says how long the whole is, before anything of it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the client is gone.
    pub async fn send_length(&self, bytes: u64) -> Result<()> {
        self.pieces.send(Piece::Length(bytes)).await.map_err(|_| left())
    }

    /// Room for a piece, once there is some.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the client is gone.
    pub async fn room(&self) -> Result<Room<'_>> {
        self.pieces.reserve().await.map(Room).map_err(|_| left())
    }

    /// What a client has done that does not read.
    pub fn unread(&self) -> Error {
        let seconds = self.stall_timeout.as_secs_f32();
        Error::Stalled(format!("the answer was left unread for {seconds} s (--stall-timeout)"))
    }
}

/// Room for a piece.
pub struct Room<'a>(mpsc::Permit<'a, Piece>);

impl Room<'_> {
    /// Fills it.
    pub fn send(self, bytes: Bytes) {
        self.0.send(Piece::Bytes(bytes));
    }
}

/// What has become of a client that nobody can answer any more.
pub fn left() -> Error {
    Error::Cancelled("the client is gone".to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn time() -> RequestTime {
        RequestTime::new(Duration::from_mins(1), Duration::from_hours(1))
    }

    #[tokio::test]
    async fn what_is_complete_ends_and_what_fails_breaks_off() {
        let complete = Outgoing::spawn(time(), Book::default(), async |outlet: Outlet| {
            for piece in ["a", "b", "c", "d"] {
                outlet.send(Bytes::from_static(piece.as_bytes())).await?;
            }
            Ok(())
        });
        assert_eq!(to_bytes(complete.into_body(), 100).await.unwrap(), "abcd");
        let failing = Outgoing::spawn(time(), Book::default(), async |outlet: Outlet| {
            outlet.send(Bytes::from_static(b"a")).await?;
            Err(Error::Failed("told to".to_owned()))
        });
        assert!(to_bytes(failing.into_body(), 100).await.is_err());
        let panicking = Outgoing::spawn(time(), Book::default(), async |_: Outlet| panic!("told to"));
        assert!(to_bytes(panicking.into_body(), 100).await.is_err());
        let aborted = Outgoing::spawn(time(), Book::default(), |_| std::future::pending());
        aborted.task.abort();
        assert!(to_bytes(aborted.into_body(), 100).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_unread_is_given_up() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let unread = Outgoing::spawn(time(), Book::default(), async move |outlet: Outlet| {
            let _held = held;
            loop {
                outlet.send(Bytes::from_static(b"a")).await?;
            }
        });
        assert!(released.await.is_err());
        assert!(to_bytes(unread.into_body(), 100).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_breaks_off() {
        let endless = Outgoing::spawn(time(), Book::default(), async move |outlet: Outlet| {
            loop {
                outlet.send(Bytes::from_static(b"a")).await?;
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
        });
        assert!(to_bytes(endless.into_body(), 100).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_goes_ends_the_work() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let outgoing = Outgoing::spawn(time(), Book::default(), |_| async move {
            let _held = held;
            std::future::pending().await
        });
        drop(outgoing.into_body());
        assert!(released.await.is_err());
    }
}
