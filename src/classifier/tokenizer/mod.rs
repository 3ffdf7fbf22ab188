//! Text → token ids, as transformers 5 gives them: what its files say, truncation, and `[EMPTY]` for what is blank.

mod arguments;
mod build;
mod class;
mod cut;
mod fit;
mod json;
mod long;
mod token_spec;

use std::path::{Path, PathBuf};

use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{Encoding as Encoded, PostProcessor, Token, Tokenizer};

use self::build::Built;
use self::cut::Cuts;
use self::long::Pause;
use super::blank::is_blank;
use super::checkpoint::TokenizerFiles;
use crate::{Error, Result};

/// What a blank text is scored as.
pub const EMPTY_TEXT: &str = "[EMPTY]";

/// Bytes up to which a text is tokenized at once.
const SHORT: usize = 8 << 10;

/// One text as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// Token ids with the special ones, at most `max_length`.
    pub ids: Vec<u32>,
    /// How many ids there were before truncation.
    pub tokens: usize,
}

/// The tokenizer of a checkpoint, held to its embedding's size.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Where a long text is cut off.
    side: TruncationDirection,
    /// Where a text may be cut into pieces.
    cuts: Cuts,
    /// Special tokens around every text.
    specials: usize,
    /// Rows of the embedding.
    rows: usize,
    max_length: usize,
}

impl TextTokenizer {
    /// Builds the tokenizer that transformers 5 would, from `tokenizer.json` or from `vocab.txt` where there is none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a file cannot be read, has a setting that cannot be honoured, or does not fit an
    /// embedding of `rows` rows.
    pub fn load(config: &Path, files: &TokenizerFiles, rows: usize, max_length: usize) -> Result<Self> {
        let Built { tokenizer, side } = build::build(config, files)?;
        let path = files.tokenizer.as_ref().or(files.vocab.as_ref()).map_or(config, PathBuf::as_path);
        fit::check_size(&tokenizer, path, rows)?;
        fit::check_added(&tokenizer, path)?;
        if let (Some(json), Some(vocab)) = (&files.tokenizer, &files.vocab) {
            fit::check_same_vocabulary(&tokenizer, json, vocab)?;
        }
        let specials = tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(false));
        let loaded = Self { cuts: Cuts::of(&tokenizer), tokenizer, side, specials, rows, max_length };
        loaded.frame(Vec::new()).map_err(|why| unusable(path, &format!("its special tokens: {why}")))?;
        Ok(loaded)
    }

    /// The ids of one text. Between the pieces of a long one it calls `pause`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text holds a token that the model has no row for, [`Error::TooLarge`] when it is long
    /// and cannot be cut into pieces, and [`Error::Failed`] when the tokenizer itself fails.
    pub fn encode(&self, text: &str, pause: Pause<'_>) -> Result<Encoding> {
        let text = if is_blank(text) { EMPTY_TEXT } else { text };
        let room = self.max_length.saturating_sub(self.specials);
        let (mut ids, tokens) = if text.len() <= SHORT {
            let ids = self.tokenizer.encode_fast(text, false).map_err(failed)?.get_ids().to_vec();
            let tokens = ids.len();
            (ids, tokens)
        } else {
            long::encode(&self.tokenizer, &self.cuts, text, (room, self.side), pause)?
        };
        match self.side {
            TruncationDirection::Right => ids.truncate(room),
            TruncationDirection::Left => drop(ids.drain(..ids.len().saturating_sub(room))),
        }
        Ok(Encoding { ids: self.frame(ids)?, tokens: tokens + self.specials })
    }

    /// Special tokens around every text: `max_length` must leave room for one more.
    pub const fn specials(&self) -> usize {
        self.specials
    }

    /// Ids with the special ones around them.
    fn frame(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        let tokens = ids.into_iter().map(|id| Token::new(id, String::new(), (0, 0))).collect();
        let framed = self.tokenizer.post_process(Encoded::from_tokens(tokens, 0), None, true).map_err(failed)?;
        let ids = framed.get_ids();
        match ids.iter().find(|id| **id as usize >= self.rows) {
            None => Ok(ids.to_vec()),
            Some(id) => Err(Error::Invalid(format!(
                "the token {:?} has the id {id}, but the model's embedding has {} rows",
                self.tokenizer.id_to_token(*id).unwrap_or_default(),
                self.rows
            ))),
        }
    }
}

fn failed(cause: tokenizers::Error) -> Error {
    Error::Failed(format!("tokenizing failed: {cause}"))
}

fn unusable(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::Checkpoint(format!("{}: {cause}", path.display()))
}

#[cfg(test)]
mod tests;
