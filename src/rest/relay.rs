//! Between those who make an answer and the client who reads it. Many clients write all that they have before they read: so that
//! nobody waits for the other in a ring, what is not read yet goes to the spool.

use std::time::Duration;

use axum::body::Bytes;
use futures::future::OptionFuture;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::outgoing::Outlet;
use crate::Result;
use crate::panics::blocking;
use crate::spool::{Spool, SpoolFile};

/// How much of it is read back at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// What was made and not read.
pub struct Relay {
    spool: Spool,
    /// The client must be told how long the answer is before it begins.
    is_whole: bool,
    first: Option<Bytes>,
    /// What stands behind the first.
    file: Option<SpoolFile>,
    /// How much of that was sent, in bytes.
    sent: u64,
    /// What the spool has no room for.
    refused: Option<Bytes>,
    length: u64,
}

impl Relay {
    /// Nothing yet.
    pub const fn new(spool: Spool, is_whole: bool) -> Self {
        Self { spool, is_whole, first: None, file: None, sent: 0, refused: None, length: 0 }
    }

    /// Passes on what comes until no more does. Once the client alone is waited for, it has `patience` to read something.
    ///
    /// # Errors
    /// [`crate::Error::Stalled`] when the client does not read, [`crate::Error::Cancelled`] when it is gone, and those of the spool where the
    /// whole answer must lie in it.
    pub async fn run(mut self, mut made: mpsc::Receiver<Bytes>, outlet: Outlet, patience: Duration) -> Result<()> {
        let mut is_open = true;
        loop {
            let may_take = is_open && self.refused.is_none();
            let may_send = !(self.is_empty() || self.is_whole && is_open);
            let room = OptionFuture::from(may_send.then(|| outlet.room()));
            tokio::select! {
                piece = made.recv(), if may_take => match piece {
                    Some(piece) => self.push(piece).await?,
                    None => {
                        is_open = false;
                        self.tell_length(&outlet).await?;
                    }
                },
                Some(room) = room => room?.send(self.pop().await?),
                () = sleep(patience), if may_send && !may_take => return Err(outlet.unread()),
                else => return Ok(()),
            }
        }
    }

    async fn tell_length(&self, outlet: &Outlet) -> Result<()> {
        if self.is_whole { outlet.send_length(self.length).await } else { Ok(()) }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.refused.is_none() && self.file.as_ref().is_none_or(SpoolFile::is_empty)
    }

    async fn push(&mut self, piece: Bytes) -> Result<()> {
        self.length += piece.len() as u64;
        if piece.is_empty() {
            return Ok(());
        }
        if self.is_empty() {
            self.first = Some(piece);
            return Ok(());
        }
        let (spool, file) = (self.spool.clone(), self.file.take());
        let kept = piece.clone();
        let (file, written) = blocking(move || {
            let mut file = match file.map_or_else(|| spool.create(), Ok) {
                Ok(file) => file,
                Err(error) => return Ok((None, Err(error))),
            };
            let written = file.append(&kept);
            Ok((Some(file), written))
        })
        .await?;
        self.file = file;
        match written {
            Err(error) if self.is_whole => Err(error),
            Err(_) => {
                self.refused = Some(piece);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What comes next. Only where there is something.
    async fn pop(&mut self) -> Result<Bytes> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let Some(mut file) = self.file.take().filter(|file| !file.is_empty()) else {
            return Ok(self.refused.take().unwrap_or_default());
        };
        let sent = self.sent;
        let (file, bytes) = blocking(move || {
            let bytes = file.read_at(sent, READ_BYTES)?;
            if sent + bytes.len() as u64 == file.len() {
                file.clear()?;
            }
            Ok((file, bytes))
        })
        .await?;
        self.sent = if file.is_empty() { 0 } else { sent + bytes.len() as u64 };
        self.file = Some(file);
        Ok(bytes.into())
    }
}
