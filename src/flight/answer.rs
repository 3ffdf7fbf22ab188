//! Answers that list endpoints: bounded, and each with its memory before it is made.

use super::request;
use crate::memory::{Memory, Reservation};
use crate::{Error, Result};

/// Bytes of an answer, at most: so many endpoints and tickets.
pub const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// How often its bytes are there at a time: kept for those who ask again, as a message, encoded, and on their way out.
const COPIES: usize = 4;

/// Bytes of memory that it has from the start: enough for most.
const SHORT: usize = 16 * 1024;

/// What an answer takes.
#[derive(Debug)]
pub struct AnswerMemory {
    held: Reservation,
    /// What its request takes of that.
    before: usize,
    bytes: usize,
}

impl AnswerMemory {
    /// One that takes its memory from that of its request, a message of so many bytes, for as long as that is held.
    pub fn to(request: &Reservation, message: usize) -> Self {
        Self { held: request.clone(), before: request::COPIES * message, bytes: 0 }
    }

    /// One that outlives its request.
    ///
    /// # Errors
    /// [`Error::Busy`] when others hold too much.
    pub fn kept(memory: &Memory) -> Result<Self> {
        Ok(Self { held: memory.try_reserve(SHORT)?, before: 0, bytes: 0 })
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`ANSWER_BYTES`], [`Error::Busy`] when others hold too much.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > ANSWER_BYTES {
            return Err(Error::TooLarge(format!(
                "the answer would be longer than {} MiB: ask for fewer \"partitions\", for shorter options, or by \"path\" for \
                 a folder below",
                ANSWER_BYTES >> 20
            )));
        }
        self.held.extend_to(self.before + COPIES * self.bytes)
    }

    /// What holds its memory.
    pub fn memory(&self) -> Reservation {
        self.held.clone()
    }

    /// Gives back what was not needed. The rest is held as long as what comes back.
    pub fn close(self) -> Reservation {
        self.held.shrink_to(self.before + COPIES * self.bytes);
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn an_answer_has_its_memory_before_it_is_made() {
        let memory = Memory::new(80 * MIB);
        let request = memory.try_reserve(request::COPIES * MIB).unwrap();
        let mut answer = AnswerMemory::to(&request, MIB);
        answer.take(MIB).unwrap();
        answer.take(MIB).unwrap();
        assert_eq!(memory.held(), 12 * MIB);
        drop(answer);
        assert_eq!(memory.held(), 12 * MIB, "as long as the request");
        let _others = memory.try_reserve(58 * MIB).unwrap();
        assert!(matches!(AnswerMemory::to(&request, MIB).take(4 * MIB), Err(Error::Busy(_))));
        drop(request);
        assert_eq!(memory.held(), 58 * MIB);
        let mut kept = AnswerMemory::kept(&memory).unwrap();
        kept.take(1024).unwrap();
        let kept = kept.close();
        assert_eq!((kept.bytes(), memory.held()), (COPIES * 1024, 58 * MIB + COPIES * 1024));
    }

    #[test]
    fn a_small_answer_has_room_in_what_its_request_holds() {
        let memory = Memory::new(80 * MIB);
        let _tables = memory.try_reserve(70 * MIB).unwrap();
        let request = memory.try_reserve(64 * 1024).unwrap();
        let mut answer = AnswerMemory::to(&request, 1024);
        answer.take(15 * 1024).unwrap();
        assert_eq!(request.bytes(), 64 * 1024);
        // And a little more in the reserve, as long as it is small.
        answer.take(1024).unwrap();
        assert_eq!(request.bytes(), 68 * 1024);
        assert!(matches!(answer.take(MIB), Err(Error::Busy(_))));
        assert_eq!(request.bytes(), 68 * 1024);
    }

    #[test]
    fn an_answer_is_bounded() {
        let mut answer = AnswerMemory::kept(&Memory::default()).unwrap();
        answer.take(ANSWER_BYTES).unwrap();
        let refused = answer.take(1).unwrap_err();
        assert!(matches!(&refused, Error::TooLarge(text) if text.contains("8 MiB")), "{refused}");
    }
}
