//! The ids that truncation leaves of a text's tokens.

use tokenizers::utils::truncation::TruncationDirection;

/// Takes ids as they come, and keeps the first or the last of them.
pub struct KeptIds {
    ids: Vec<u32>,
    tokens: usize,
    room: usize,
    side: TruncationDirection,
}

impl KeptIds {
    /// Keeps at most `room` ids; a longer text is cut off at this side.
    pub const fn new(room: usize, side: TruncationDirection) -> Self {
        Self { ids: Vec::new(), tokens: 0, room, side }
    }

    /// Keeps all.
    pub const fn all() -> Self {
        Self::new(usize::MAX, TruncationDirection::Right)
    }

    /// The next ids.
    #[inline]
    pub fn push(&mut self, ids: &[u32]) {
        self.tokens += ids.len();
        match self.side {
            TruncationDirection::Right => {
                let room = self.room - self.ids.len();
                self.ids.extend_from_slice(&ids[..ids.len().min(room)]);
            }
            TruncationDirection::Left => {
                self.ids.extend_from_slice(ids);
                // Seldom, so that each is moved a few times at most.
                if self.ids.len() / 2 > self.room {
                    self.drop_first();
                }
            }
        }
    }

    /// Drops the first of more than there is room for.
    fn drop_first(&mut self) {
        let beyond = self.ids.len().saturating_sub(self.room);
        self.ids.drain(..beyond);
    }

    /// The ids that are kept, and how many came.
    pub fn finish(mut self) -> (Vec<u32>, usize) {
        self.drop_first();
        (self.ids, self.tokens)
    }
}
