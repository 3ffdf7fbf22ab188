//! The messages that a client sends: each has its memory before it is read.
//!
//! tonic's own reader is not used: it makes room for a message as soon as it knows its length, keeps that room until the
//! next message comes, and puts the columns where Arrow has to copy them.

mod header;
mod packed;
mod quiet;

use std::time::Duration;

use arrow_flight::FlightData;
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use prost::Message as _;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::body::Body;

use self::header::{look, may_begin_a_header};
use self::packed::Measured;
pub use self::packed::{ENCODINGS, MessageEncoding};
pub use self::quiet::Quiet;
use crate::ipc_strings;
use crate::memory::{Pace, Reservation, SMALL};
use crate::source::ipc::{ARRIVAL, Allowance, Buffer, GLANCE, Look, MessageLimits, Weight};
use crate::{Error, Result};

/// What a client sends in one call.
pub struct Inbound {
    body: Body,
    /// What has arrived and was not taken: less than [`GLANCE`], and what came with it.
    arrived: BytesMut,
    allowance: Allowance,
    /// What its compressed messages are compressed with.
    encoding: Option<MessageEncoding>,
    quiet: Quiet,
}

/// A message that has come.
pub struct Received {
    pub data: FlightData,
    /// Bytes of its columns, once they are unpacked.
    pub unpacked: usize,
}

/// gRPC's prefix: whether the message is compressed, and its length.
const PREFIX: usize = 5;

impl Inbound {
    /// The messages in the body of a call.
    pub fn new(body: Body, encoding: Option<MessageEncoding>, limits: MessageLimits, quiet: Quiet) -> Self {
        Self { body, arrived: BytesMut::new(), allowance: Allowance::new(limits), encoding, quiet }
    }

    /// What the call is doing, to be told of what is done for it.
    pub fn quiet(&self) -> &Quiet {
        &self.quiet
    }

    /// The next message; `None` when the client has sent all. Its bytes hold its memory, whoever keeps them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a message that no memory would do for, [`Error::Stalled`] for one that does not arrive,
    /// [`Error::Busy`] when a call that keeps much gets no more, and [`Error::Invalid`] for what is no message.
    pub async fn message(&mut self) -> Result<Option<Received>> {
        let quiet = self.quiet.clone();
        let Some(prefix) = quiet.wait(self.prefix()).await?? else { return Ok(None) };
        let (bytes, memory) =
            if prefix.is_packed { self.packed(prefix.length).await? } else { self.plain(prefix.length).await? };
        let length = bytes.len();
        let data =
            FlightData::decode(bytes).map_err(|e| Error::Invalid(format!("a message cannot be decoded: {e}")))?;
        ipc_strings::check(&data.data_header)?;
        let unpacked = self.allowance.admit(&data.data_header, &data.data_body, length, memory).await?;
        let unpacked = unpacked.unwrap_or(data.data_body.len());
        Ok(Some(Received { data, unpacked }))
    }

    /// A message that comes as it is, and its memory.
    async fn plain(&mut self, length: usize) -> Result<(Bytes, Reservation)> {
        let quiet = self.quiet.clone();
        let look = quiet.wait(self.look(length)).await??;
        let memory = self.allowance.reserve(look.bytes).await?;
        Ok((self.read(length, look.body, memory.clone()).await?, memory))
    }

    /// A message that comes compressed in so many bytes. It is unpacked twice: how long it is, and what its header asks for,
    /// must be known before there is memory for it.
    async fn packed(&mut self, length: usize) -> Result<(Bytes, Reservation)> {
        let encoding = self.encoding.ok_or_else(|| {
            Error::Invalid("a message is compressed, and no header grpc-encoding says how".to_owned())
        })?;
        // Where it becomes little, the reserve of small requests has it.
        let memory = self.allowance.reserve(length.max(SMALL)).await?;
        let packed = self.read(length, 0, memory.clone()).await?;
        let limit = self.allowance.message_bytes();
        let Measured { length: unpacked, beginning } = encoding.measure(&packed, GLANCE, limit)?;
        self.allowance.check(unpacked, "unpacked it has")?;
        let look = look(self.allowance.claims(), &beginning, unpacked);
        self.allowance.grow(&memory, length.saturating_add(look.bytes)).await?;
        let mut message = Buffer::new(unpacked, look.body);
        encoding.unpack(&packed, unpacked, &mut message.bytes)?;
        drop(packed);
        memory.shrink_to(look.bytes);
        Ok((message.freeze(memory.clone()), memory))
    }

    /// What the elements of arrays take from now on.
    pub fn weigh(&mut self, weights: &[Weight]) {
        self.allowance.weigh(weights);
    }

    /// The memory of the messages since this was last asked for, to be held by what is made of them.
    pub fn claimed(&mut self) -> Vec<Reservation> {
        self.allowance.claimed()
    }

    /// Whether the client has ended what it sends, and not broken it off. Where [`Inbound::message`] gave the last message, a call
    /// that was reset looks like one that was ended.
    pub fn is_whole(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Reads and drops what the client still sends, until it ends, pauses for as long as `patience`, or goes on ten times
    /// as long.
    pub async fn discard(&mut self, patience: Duration) {
        self.arrived = BytesMut::new();
        let all = async { while let Ok(Some(Ok(_))) = timeout(patience, self.body.frame()).await {} };
        let _ = timeout(patience * 10, all).await;
    }

    /// What stands before the next message, unless there is none.
    async fn prefix(&mut self) -> Result<Option<Prefix>> {
        while self.arrived.len() < PREFIX {
            if !self.arrive().await? {
                return if self.arrived.is_empty() { Ok(None) } else { Err(cut_short()) };
            }
        }
        let is_packed = self.arrived.get_u8() != 0;
        let length = self.arrived.get_u32() as usize;
        self.allowance.check(length, "it has")?;
        Ok(Some(Prefix { is_packed, length }))
    }

    /// What the message's beginning says of its size in memory.
    async fn look(&mut self, length: usize) -> Result<Look> {
        loop {
            let glance = length.min(GLANCE);
            let seen = &self.arrived[..self.arrived.len().min(glance)];
            if seen.len() == glance || !may_begin_a_header(seen) {
                return Ok(look(self.allowance.claims(), seen, length));
            }
            if !self.arrive().await? {
                return Err(cut_short());
            }
        }
    }

    /// The rest of the message, of which the last `body` bytes are columns.
    async fn read(&mut self, length: usize, body: usize, memory: Reservation) -> Result<Bytes> {
        let mut message = Buffer::new(length, body);
        let pace = Pace::new(ARRIVAL);
        loop {
            if message.fill(&mut self.arrived) {
                return Ok(message.freeze(memory));
            }
            let by = pace.deadline(length - message.missing(), length);
            match timeout_at(by, self.arrive()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Err(cut_short()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(too_slow(length, message.missing(), pace.began())),
            }
        }
    }

    /// Takes in what comes next; false at the end.
    async fn arrive(&mut self) -> Result<bool> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(|status| broke_off(status.message()))?.into_data() {
                self.arrived.extend_from_slice(&data);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What stands before a message.
struct Prefix {
    is_packed: bool,
    length: usize,
}

fn cut_short() -> Error {
    broke_off("it ended inside of a message")
}

fn broke_off(cause: &str) -> Error {
    Error::Invalid(format!("the client's stream broke off: {cause}"))
}

fn too_slow(length: usize, missing: usize, began: Instant) -> Error {
    Error::Stalled(format!(
        "a message of {length} bytes came too slowly: {} of them in {:.0} s; send smaller batches, in Python with \
         write_table(table, max_chunksize=8192)",
        length - missing,
        began.elapsed().as_secs_f32()
    ))
}

#[cfg(test)]
mod tests;
