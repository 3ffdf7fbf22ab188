//! The special tokens around every text: `[CLS]` and `[SEP]`, or what a checkpoint has for these.

use tokenizers::{Encoding, Token, Tokenizer};

/// What stands before a text's ids, and what behind them.
pub struct Frame {
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Frame {
    /// That of a tokenizer, by what it puts around a text.
    ///
    /// # Errors
    /// Why it cannot be used: it fails, or does more than that.
    pub fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let around = |ids: &[u32]| {
            let tokens = ids.iter().map(|id| Token::new(*id, String::new(), (0, 0))).collect();
            let framed = tokenizer.post_process(Encoding::from_tokens(tokens, 0), None, true);
            framed.map(|framed| framed.get_ids().to_vec()).map_err(|e| format!("its special tokens: {e}"))
        };
        let [first, last] = [u32::MAX - 1, u32::MAX]; // ids of no token
        let framed = around(&[first, last])?;
        let at = framed.iter().position(|id| *id == first).unwrap_or(0);
        let frame = Self { before: framed[..at].to_vec(), after: framed.get(at + 2..).unwrap_or_default().to_vec() };
        if frame.around(vec![first, last]) != framed || frame.around(Vec::new()) != around(&[])? {
            return Err("its post_processor does more than to put special tokens around a text".to_owned());
        }
        Ok(frame)
    }

    /// How many tokens it has.
    pub const fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// `ids` with those of the frame around them.
    pub fn around(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.splice(0..0, self.before.iter().copied());
        ids.extend_from_slice(&self.after);
        ids
    }
}
