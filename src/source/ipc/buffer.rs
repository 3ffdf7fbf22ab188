//! Where a message arrives.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::memory::Reservation;

/// The alignment from which Arrow reads columns where they lie.
pub const ALIGNMENT: usize = 64;

/// Bytes of a message that are looked at before its memory is reserved: enough for the header of a thousand columns.
pub const GLANCE: usize = 64 * 1024;

/// In which a message must arrive, once its memory is reserved.
pub const ARRIVAL: Duration = Duration::from_mins(2);

/// A message on its way in, with the columns at its end on an aligned address.
pub struct Buffer {
    /// What is there, behind what aligns it.
    pub bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// Room for a message of `length` bytes, of which the last `body` are columns.
    pub fn new(length: usize, body: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(length + ALIGNMENT);
        let columns = bytes.as_ptr() as usize + length.saturating_sub(body);
        let start = columns.next_multiple_of(ALIGNMENT) - columns;
        bytes.resize(start, 0);
        Self { bytes, start, length }
    }

    /// Bytes that have not come.
    pub fn missing(&self) -> usize {
        self.start + self.length - self.bytes.len()
    }

    /// Takes what is its own of what has arrived; true once it is whole.
    pub fn fill(&mut self, arrived: &mut BytesMut) -> bool {
        let more = arrived.len().min(self.missing());
        self.bytes.extend_from_slice(&arrived[..more]);
        arrived.advance(more);
        let is_whole = self.missing() == 0;
        if !is_whole {
            // Empty as it is, it would keep the room that the last message took.
            *arrived = BytesMut::new();
        }
        is_whole
    }

    /// The message, which holds its memory from now on.
    pub fn freeze(self, memory: Reservation) -> Bytes {
        Bytes::from_owner(Owned { buffer: self, _memory: Some(memory) })
    }

    /// The message, which is too short to count.
    pub fn freeze_small(self) -> Bytes {
        Bytes::from_owner(Owned { buffer: self, _memory: None })
    }
}

/// Bytes that hold their memory for as long as anybody keeps them, an array over them too.
struct Owned {
    buffer: Buffer,
    _memory: Option<Reservation>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.buffer.bytes[self.buffer.start..]
    }
}
