//! Texts of known lengths, the same everywhere.

use super::random::Random;

/// Makes texts out of words that are one token each.
pub struct Texts {
    words: Vec<String>,
}

impl Texts {
    /// Texts of these words.
    pub const fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// `count` texts of half to one and a half times `mean` tokens, the two special ones included, in no order.
    pub fn of_mean(&self, mean: usize, count: usize) -> Vec<String> {
        let mut random = Random::new(mean as u64);
        let mut text = || {
            let tokens = mean / 2 + random.below(mean + 1);
            let words: Vec<&str> =
                (2..tokens.max(3)).map(|_| self.words[random.below(self.words.len())].as_str()).collect();
            words.join(" ")
        };
        (0..count).map(|_| text()).collect()
    }
}
