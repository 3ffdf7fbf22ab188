//! An answer that is on its way while its body is.

use arrow::buffer::Buffer;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::TableLimits;
use super::media::Media;
use super::outgoing::Outgoing;
use super::relay::Relay;
use crate::{Error, Result};

/// Pieces that may wait.
const PIECES: usize = 2;

/// How large a piece is, in bytes: a copy, so that a batch is gone once it has been passed on, however much of it waits.
const PIECE_BYTES: usize = 64 << 10;

/// Where the pieces of an answer go.
pub struct Made(mpsc::Sender<Bytes>);

impl Made {
    /// Passes on what was written.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the client is gone.
    pub async fn send(&self, written: Vec<Buffer>) -> Result<()> {
        for piece in written.iter().flat_map(|buffer| buffer.chunks(PIECE_BYTES)) {
            let sent = self.0.send(Bytes::copy_from_slice(piece)).await;
            sent.map_err(|_| Error::Cancelled("the client is gone".to_owned()))?;
        }
        Ok(())
    }
}

/// Starts `making`, and answers in `media` with what it makes. `held` is let go of once the answer has been read.
///
/// # Errors
/// What it failed with before its first piece. Whatever comes later breaks the answer off.
pub async fn answer<F>(
    media: Media,
    limits: &TableLimits,
    is_whole: bool,
    held: impl Send + 'static,
    making: impl FnOnce(Made) -> F,
) -> Result<Response>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (made, pieces) = mpsc::channel(PIECES);
    let making = making(Made(made));
    let relay = Relay::new(limits.spool.clone(), is_whole);
    let patience = limits.stall_timeout;
    let mut outgoing = Outgoing::spawn(patience, async move |outlet| {
        let _held = held;
        tokio::try_join!(making, relay.run(pieces, outlet, patience)).map(drop)
    });
    let length = outgoing.begin().await?;
    let mut response = ([(header::CONTENT_TYPE, media.name())], outgoing.into_body()).into_response();
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}
