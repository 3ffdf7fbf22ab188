//! Answers that list endpoints: bounded, and each with its memory before it is made.

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
    /// What was held for the request.
    before: usize,
    bytes: usize,
}

impl AnswerMemory {
    /// One that takes its memory from that of its request, for as long as that is held.
    pub fn to(request: &Reservation) -> Self {
        Self { held: request.clone(), before: request.bytes(), bytes: 0 }
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
        let request = memory.try_reserve(MIB).unwrap();
        let mut answer = AnswerMemory::to(&request);
        answer.take(MIB).unwrap();
        answer.take(MIB).unwrap();
        assert_eq!(memory.held(), 9 * MIB);
        drop(answer);
        assert_eq!(memory.held(), 9 * MIB, "as long as the request");
        let _others = memory.try_reserve(60 * MIB).unwrap();
        assert!(matches!(AnswerMemory::to(&request).take(4 * MIB), Err(Error::Busy(_))));
        drop(request);
        assert_eq!(memory.held(), 60 * MIB);
        let mut kept = AnswerMemory::kept(&memory).unwrap();
        kept.take(1024).unwrap();
        let kept = kept.close();
        assert_eq!((kept.bytes(), memory.held()), (COPIES * 1024, 60 * MIB + COPIES * 1024));
    }

    #[test]
    fn an_answer_is_bounded() {
        let mut answer = AnswerMemory::kept(&Memory::default()).unwrap();
        answer.take(ANSWER_BYTES).unwrap();
        let refused = answer.take(1).unwrap_err();
        assert!(matches!(&refused, Error::TooLarge(text) if text.contains("8 MiB")), "{refused}");
    }
}
