//! An answer that is on its way while its body is.

use arrow::buffer::Buffer;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::account::Book;
use super::media::Media;
use super::outgoing::{Outgoing, left};
use super::relay::Relay;
use super::time::RequestTime;
use crate::Result;
use crate::spool::Spool;

/// Pieces that may wait.
const PIECES: usize = 2;

/// How large a piece is, in bytes: a copy, so that a batch is gone once it has been passed on, however much of it waits.
const PIECE_BYTES: usize = 64 << 10;

/// How an answer goes out.
pub struct StreamedAnswer {
    /// What it is.
    pub media: Media,
    /// Its client must be told how long it is before it begins.
    pub is_whole: bool,
    /// Where what its client does not read yet goes.
    pub spool: Spool,
    /// How long it may take.
    pub time: RequestTime,
    /// Where account is kept of what it comes to.
    pub book: Book,
}

/// Where the pieces of an answer go.
pub struct Made(mpsc::Sender<Bytes>);

impl Made {
    /// Passes on what was written.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when the client is gone.
    pub async fn send(&self, written: Vec<Buffer>) -> Result<()> {
        for piece in written.iter().flat_map(|buffer| buffer.chunks(PIECE_BYTES)) {
            self.pass(Bytes::copy_from_slice(piece)).await?;
        }
        Ok(())
    }

    /// Passes on a piece as it is.
    ///
    /// # Errors
    /// As [`Made::send`].
    pub async fn pass(&self, piece: Bytes) -> Result<()> {
        self.0.send(piece).await.map_err(|_| left())
    }
}

impl StreamedAnswer {
    /// Starts `making`, and answers with what it makes. `held` is let go of once the answer has been read.
    ///
    /// # Errors
    /// What it failed with before its first piece. Whatever comes later breaks the answer off.
    pub async fn of<F>(self, held: impl Send + 'static, making: impl FnOnce(Made) -> F) -> Result<Response>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let Self { media, is_whole, spool, time, book } = self;
        // A Parquet file comes complete or not at all.
        let is_whole = is_whole || media == Media::Parquet;
        let (made, pieces) = mpsc::channel(PIECES);
        let making = making(Made(made));
        let relay = Relay::new(spool, is_whole);
        let mut outgoing = Outgoing::spawn(time, book, async move |outlet| {
            let _held = held;
            tokio::try_join!(making, relay.run(pieces, outlet, time.stall)).map(drop)
        });
        let length = outgoing.begin().await?;
        let mut response = ([(header::CONTENT_TYPE, media.name())], outgoing.into_body()).into_response();
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(response)
    }
}
