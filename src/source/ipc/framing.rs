//! The messages in the bytes of a stream: before each stands how long its header is, and that says how long its columns are.

use arrow::ipc::root_as_message;
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout_at;

use super::allowance::{Allowance, MessageLimits};
use super::buffer::{ARRIVAL, Buffer, GLANCE};
use super::decode::undecodable;
use crate::ipc_strings;
use crate::memory::{Pace, Reservation};
use crate::{Error, Result};

/// What stands before a length since Arrow 0.15.
const CONTINUATION: u32 = u32::MAX;

/// The first bytes of a file of Arrow IPC, which holds such a stream between others.
const FILE: &[u8] = b"ARRO";

/// A message, which holds its memory as long as anybody keeps its bytes.
pub struct Message {
    /// What it is, as flatbuffers have it.
    pub header: Bytes,
    /// Its columns.
    pub body: Bytes,
    /// How much the columns are once they are unpacked, in bytes.
    pub unpacked: usize,
}

/// Reads messages out of bytes that come in pieces.
pub struct Framing {
    pieces: BoxStream<'static, Result<Bytes>>,
    /// What has arrived and was not taken.
    arrived: BytesMut,
    allowance: Allowance,
    has_begun: bool,
}

impl Framing {
    /// Those of a stream that begins.
    pub fn new(pieces: BoxStream<'static, Result<Bytes>>, limits: MessageLimits) -> Self {
        Self { pieces, arrived: BytesMut::new(), allowance: Allowance::new(limits), has_begun: false }
    }

    /// What its messages may take.
    pub const fn allowance(&mut self) -> &mut Allowance {
        &mut self.allowance
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// Those of the pieces, [`Error::Invalid`] for what is no message, [`Error::TooLarge`] for one that is too long,
    /// [`Error::Stalled`] for one that comes too slowly, [`Error::Busy`] where it has no memory.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        let Some(length) = self.header_length().await? else { return Ok(None) };
        let (header, early) = self.header(length).await?;
        ipc_strings::check(&header)?;
        let message = root_as_message(&header).map_err(|cause| undecodable(&cause.to_string()))?;
        let body = usize::try_from(message.bodyLength())
            .map_err(|_| undecodable(&format!("a message says that it has {} bytes", message.bodyLength())))?;
        let whole = length.saturating_add(body);
        self.allowance.check(whole, "it has")?;
        let bytes = self.allowance.claims().of(&header, whole).bytes;
        let memory = match early {
            None => self.allowance.reserve(bytes).await?,
            Some(memory) => {
                self.allowance.grow(&memory, bytes).await?;
                memory
            }
        };
        let body = self.take(body, body).await?.freeze(memory.clone());
        let unpacked = self.allowance.admit(&header, &body, whole, memory).await?;
        let unpacked = unpacked.unwrap_or(body.len());
        Ok(Some(Message { header, body, unpacked }))
    }

    /// How long the next header is; none at the end, whether or not that is marked.
    async fn header_length(&mut self) -> Result<Option<usize>> {
        let Some(mut length) = self.number().await? else { return Ok(None) };
        if length == CONTINUATION {
            length = self.number().await?.ok_or_else(cut_short)?;
        } else if !self.has_begun && self.allowance.check(length as usize, "").is_err() {
            return Err(undecodable("it does not begin as an Arrow stream does"));
        }
        self.has_begun = true;
        match usize::try_from(length) {
            Ok(0) => self.end().await.map(|()| None),
            Ok(length) if i32::try_from(length).is_ok() => Ok(Some(length)),
            _ => Err(undecodable(&format!("a header of {length} bytes"))),
        }
    }

    /// Nothing stands behind the end.
    async fn end(&mut self) -> Result<()> {
        if self.arrived.is_empty() && !self.arrive().await? {
            return Ok(());
        }
        let what = "more comes behind its end: one request takes one stream";
        Err(undecodable(what))
    }

    async fn number(&mut self) -> Result<Option<u32>> {
        while self.arrived.len() < size_of::<u32>() {
            if !self.arrive().await? {
                return if self.arrived.is_empty() { Ok(None) } else { Err(cut_short()) };
            }
        }
        if !self.has_begun && self.arrived.starts_with(FILE) {
            let what = "it is a file of Arrow IPC; send a stream, in Python with pyarrow.ipc.new_stream";
            return Err(undecodable(what));
        }
        Ok(Some(self.arrived.get_u32_le()))
    }

    /// A header, and its memory where that had to be there before.
    async fn header(&mut self, length: usize) -> Result<(Bytes, Option<Reservation>)> {
        self.allowance.check(length, "its header has")?;
        if length <= GLANCE {
            return Ok((self.take(length, length).await?.freeze_small(), None));
        }
        let bytes = self.allowance.claims().of(&[], length).bytes;
        let memory = self.allowance.reserve(bytes).await?;
        Ok((self.take(length, length).await?.freeze(memory.clone()), Some(memory)))
    }

    /// The next `length` bytes, of which the last `aligned` are where Arrow wants them.
    async fn take(&mut self, length: usize, aligned: usize) -> Result<Buffer> {
        let mut taken = Buffer::new(length, aligned);
        let pace = Pace::new(ARRIVAL);
        loop {
            if taken.fill(&mut self.arrived) {
                return Ok(taken);
            }
            let by = pace.deadline(length - taken.missing(), length);
            let Ok(arrived) = timeout_at(by, self.arrive()).await else { return Err(too_slow(length)) };
            if !arrived? {
                return Err(cut_short());
            }
        }
    }

    /// Takes in what comes next; false at the end.
    async fn arrive(&mut self) -> Result<bool> {
        while let Some(piece) = self.pieces.try_next().await? {
            if !piece.is_empty() {
                self.arrived.extend_from_slice(&piece);
                return Ok(true);
            }
        }
        self.pieces = futures::stream::empty().boxed();
        Ok(false)
    }
}

fn cut_short() -> Error {
    undecodable("it ends inside of a message")
}

fn too_slow(length: usize) -> Error {
    Error::Stalled(format!(
        "a message of {length} bytes came too slowly; send smaller batches, in Python with write_table(table, \
         max_chunksize=8192)"
    ))
}
