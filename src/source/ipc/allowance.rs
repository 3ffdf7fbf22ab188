//! The memory that the messages of one stream have.

use std::time::Duration;

use tokio::time::timeout;

use super::claim::{Claims, Look, Weight};
use crate::ipc_compression::unpacked_bytes;
use crate::memory::{Memory, Reservation, SMALL, Watch};
use crate::{Error, Result};

/// What bounds the messages of a stream.
#[derive(Debug, Clone)]
pub struct MessageLimits {
    /// Where their memory comes from.
    pub memory: Memory,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes that a row takes beside its columns: as a text, as scores, and as columns of these.
    pub row_bytes: usize,
    /// How long a stream that holds much waits for more.
    pub patience: Duration,
}

/// What the messages of a stream may take, and have taken.
pub struct Allowance {
    limits: MessageLimits,
    claims: Claims,
    /// The messages that took from the reserve of small requests.
    small: Vec<Watch>,
    claimed: Vec<Reservation>,
}

impl Allowance {
    /// That of a stream that begins.
    pub fn new(limits: MessageLimits) -> Self {
        let claims = Claims::new(limits.row_bytes);
        Self { limits, claims, small: Vec::new(), claimed: Vec::new() }
    }

    /// What messages take.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Bytes of one message, at most.
    pub const fn message_bytes(&self) -> usize {
        self.limits.message_bytes
    }

    /// Fails if a message of which it is said so that it `has` this length is too long.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check(&self, length: usize, has: &str) -> Result<()> {
        if length <= self.limits.message_bytes {
            return Ok(());
        }
        Err(Error::TooLarge(format!(
            "a record batch is larger than the server takes in one message ({has} {length} bytes, the limit is {} bytes); \
             send smaller ones, in Python with write_table(table, max_chunksize=8192), or raise --max-message-mib",
            self.limits.message_bytes
        )))
    }

    /// The memory for a message, as soon as there is some.
    ///
    /// The small messages of a stream have as much of the reserve as a small request: its descriptor, its schema and the first
    /// of many batches must not wait for tables, and the rest are a table themselves. A stream that keeps much, dictionaries most
    /// likely, does not wait for long: others may keep as much, and wait for it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where there is not so much, [`Error::Busy`] when a stream that keeps much gets no more.
    pub async fn reserve(&mut self, bytes: usize) -> Result<Reservation> {
        self.small.retain(|message| !message.is_over());
        let memory = &self.limits.memory;
        if bytes <= SMALL
            && self.small.iter().map(Watch::bytes).sum::<usize>() < SMALL
            && let Ok(reservation) = memory.try_reserve(bytes)
        {
            self.small.push(reservation.watch());
            return Ok(reservation);
        }
        if self.claims.kept() <= SMALL {
            return memory.reserve(bytes).await;
        }
        timeout(self.limits.patience, memory.reserve(bytes)).await.map_err(|_| {
            Error::Busy(
                "at capacity: no memory for a batch beside its dictionaries (--memory-limit); try again later"
                    .to_owned(),
            )
        })?
    }

    /// More memory for a message that is there. Others may hold it, and wait for what this one holds.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where there is not so much, [`Error::Busy`] where it does not come in time.
    pub async fn grow(&self, memory: &Reservation, bytes: usize) -> Result<()> {
        timeout(self.limits.patience, memory.grow_to(bytes)).await.map_err(|_| {
            Error::Busy("at capacity: no memory to unpack a batch in (--memory-limit); try again later".to_owned())
        })?
    }

    /// Takes the memory for all that is made of a message that has come whole, in `length` bytes. Gives how much its body is once
    /// it is unpacked, if it came compressed: nothing has been unpacked before.
    ///
    /// # Errors
    /// As [`Allowance::check`] and [`Allowance::grow`], and [`Error::Invalid`] for a body that cannot be unpacked.
    pub async fn admit(
        &mut self,
        header: &[u8],
        body: &[u8],
        length: usize,
        memory: Reservation,
    ) -> Result<Option<usize>> {
        let unpacked = unpacked_bytes(header, body)?;
        match unpacked {
            Some(unpacked) => {
                self.check(unpacked, "unpacked it has")?;
                let bytes = self.claims.unpacked(header, length, unpacked);
                self.grow(&memory, bytes).await?;
                memory.shrink_to(bytes);
            }
            None => {
                // The header that counts need not be what the message began with.
                let Look { bytes, .. } = self.claims.of(header, length);
                self.grow(&memory, bytes).await?;
            }
        }
        self.claims.keep(header, length + unpacked.unwrap_or(0), &memory);
        self.claimed.push(memory);
        Ok(unpacked)
    }

    /// What the elements of arrays take from now on.
    pub fn weigh(&mut self, weights: &[Weight]) {
        self.claims.weigh(weights);
    }

    /// The memory of the messages since this was last asked for, to be held by what is made of them.
    pub fn claimed(&mut self) -> Vec<Reservation> {
        std::mem::take(&mut self.claimed)
    }
}
