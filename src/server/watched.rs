//! What passes through a connection, reported to its [`Activity`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::{Activity, InProgress};
use super::frames::Frames;

/// A stream of bytes to a client and back.
pub struct WatchedIo<IO> {
    io: IO,
    frames: Frames,
    activity: Activity,
}

impl<IO> WatchedIo<IO> {
    /// Reports what passes through `io`.
    pub fn new(io: IO, activity: Activity) -> Self {
        Self { io, frames: Frames::default(), activity }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.frames.hear(bytes);
        // Whatever an HTTP/1 client says between its requests begins the next.
        let is_midway = self.frames.is_http1() || self.frames.is_midway();
        self.activity.heard(self.frames.has_greeted(), is_midway);
    }

    fn take(&self, taken: io::Result<usize>) -> Poll<io::Result<usize>> {
        if matches!(taken, Ok(1..)) {
            self.activity.took();
        }
        Poll::Ready(taken)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for WatchedIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.hear(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for WatchedIo<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.io).poll_write(context, bytes));
        self.take(taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices));
        self.take(taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The body of a response: the request that it answers is in progress until it is dropped.
pub struct WatchedBody {
    body: Body,
    _request: InProgress,
}

impl WatchedBody {
    /// Ends `request` with `body`.
    pub fn new(body: Body, request: InProgress) -> Self {
        Self { body, _request: request }
    }
}

impl hyper::body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
