//! A body on its way in: bounded in length and in the time that it may stand still.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures::stream::{Stream, try_unfold};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::panics::blocking;
use crate::spool::{Spool, SpoolFile};
use crate::{Error, Result};

/// How much is written to the spool at once, in bytes.
const WRITE_BYTES: usize = 1 << 20;

/// How long what is left of a body that is not taken may go on.
const DISCARDING: Duration = Duration::from_mins(10);

/// A request's body. What nobody read of it when this is dropped is read to its end: a client that is still sending hears the
/// answer only then.
#[derive(Debug)]
pub struct TableBody {
    body: Option<Body>,
    received: u64,
    limit: u64,
    stall_timeout: Duration,
    /// The client asked for leave to send, and has none as long as nothing is read.
    awaits_leave: bool,
}

impl TableBody {
    /// The body of a request with these headers, of at most `limit` bytes.
    pub fn new(body: Body, headers: &HeaderMap, limit: u64, stall_timeout: Duration) -> Self {
        Self { body: Some(body), received: 0, limit, stall_timeout, awaits_leave: headers.contains_key(header::EXPECT) }
    }

    /// Fails if the body says that it is too long.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check_length(&self) -> Result<()> {
        let least = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
        if least > self.limit { Err(self.too_long()) } else { Ok(()) }
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Stalled`], or [`Error::Invalid`] if it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(body) = &mut self.body else { return Ok(None) };
            self.awaits_leave = false;
            let frame = timeout(self.stall_timeout, body.frame()).await;
            let Ok(frame) = frame else { return Err(self.silent()) };
            match frame {
                None => self.body = None,
                Some(Err(error)) => {
                    self.body = None;
                    return Err(Error::Invalid(format!("the body broke off: {error}")));
                }
                // Trailers are no part of it.
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.received += bytes.len() as u64;
                    return if self.received > self.limit { Err(self.too_long()) } else { Ok(Some(bytes)) };
                }
            }
        }
    }

    /// What comes, piece by piece.
    ///
    /// # Errors
    /// As [`TableBody::next`].
    pub fn pieces(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        try_unfold(self, async |mut body| Ok(body.next().await?.map(|bytes| (bytes, body))))
    }

    /// The whole body, in a file of the spool.
    ///
    /// # Errors
    /// As [`TableBody::next`] and [`SpoolFile::append`].
    pub async fn spooled(mut self, spool: &Spool) -> Result<SpoolFile> {
        let spool = spool.clone();
        let mut file = blocking(move || spool.create()).await?;
        let mut pending = Vec::new();
        loop {
            let next = self.next().await?;
            let is_end = next.is_none();
            pending.extend_from_slice(&next.unwrap_or_default());
            if pending.len() >= WRITE_BYTES || is_end {
                (file, pending) = blocking(move || {
                    file.append(&pending)?;
                    pending.clear();
                    Ok((file, pending))
                })
                .await?;
            }
            if is_end {
                return Ok(file);
            }
        }
    }

    fn too_long(&self) -> Error {
        Error::TooLarge(format!("the body is longer than {} bytes: send less, or raise --max-score-body", self.limit))
    }

    fn silent(&mut self) -> Error {
        self.body = None;
        let seconds = self.stall_timeout.as_secs_f32();
        Error::Stalled(format!("nothing came of the body for {seconds} s (--stall-timeout)"))
    }
}

impl Drop for TableBody {
    fn drop(&mut self) {
        let body = self.body.take().filter(|body| !self.awaits_leave && !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (body, Handle::try_current()) {
            runtime.spawn(discard(body, self.limit, self.stall_timeout));
        }
    }
}

/// Reads what is still sent, as far as it could have been taken.
async fn discard(mut body: Body, mut left: u64, stall_timeout: Duration) {
    let until = Instant::now() + DISCARDING;
    while let Ok(Some(Ok(frame))) = timeout_at(until.min(Instant::now() + stall_timeout), body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(parts: &[&'static [u8]], limit: u64) -> TableBody {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(Bytes::from_static(part))).collect();
        let body = Body::from_stream(futures::stream::iter(parts));
        TableBody::new(body, &HeaderMap::new(), limit, Duration::from_mins(1))
    }

    #[tokio::test]
    async fn a_body_is_kept_whole() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), 100);
        let spool = Spool::new(folder.path().to_owned(), spool);
        let file = upload(&[b"01", b"", b"234"], 5).spooled(&spool).await.unwrap();
        assert_eq!(file.read_at(0, 10).unwrap(), b"01234");
        let empty = upload(&[], 5).spooled(&spool).await.unwrap();
        assert!(empty.is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_by_its_length_or_on_its_way() {
        let mut body = upload(&[b"012", b"345"], 5);
        assert_eq!(body.next().await.unwrap().unwrap(), "012");
        let error = body.next().await.unwrap_err();
        assert!(matches!(&error, Error::TooLarge(text) if text.contains("5 bytes")), "{error}");
        let whole = TableBody::new(Body::from("012345"), &HeaderMap::new(), 5, Duration::from_mins(1));
        assert!(matches!(whole.check_length(), Err(Error::TooLarge(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up() {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut upload = TableBody::new(body, &HeaderMap::new(), 5, Duration::from_mins(1));
        assert!(matches!(upload.next().await, Err(Error::Stalled(text)) if text.contains("60 s")));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_end() {
        let parts = [Ok(Bytes::from_static(b"01")), Err(std::io::Error::other("reset"))];
        let body = Body::from_stream(futures::stream::iter(parts));
        let mut upload = TableBody::new(body, &HeaderMap::new(), 5, Duration::from_mins(1));
        assert!(upload.next().await.unwrap().is_some());
        assert!(matches!(upload.next().await, Err(Error::Invalid(text)) if text.contains("broke off")));
    }
}
