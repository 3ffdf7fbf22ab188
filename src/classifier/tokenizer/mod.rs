//! Text → token ids, as transformers 5 gives them: what its files say, truncation, and `[EMPTY]` for what is blank.

mod arguments;
mod build;
mod characters;
mod class;
mod cut;
mod fit;
mod frame;
mod json;
mod kept_ids;
mod long;
mod pipeline;
mod token_spec;
mod trie;
mod wordpiece;

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;
use tokenizers::utils::truncation::TruncationDirection;

use self::build::Built;
use self::cut::Cuts;
use self::frame::Frame;
use self::kept_ids::KeptIds;
use self::pipeline::BertPipeline;
use self::wordpiece::WordPieces;
use super::blank::is_blank;
use super::checkpoint::TokenizerFiles;
use crate::{Error, Result};

/// What a blank text is scored as.
pub const EMPTY_TEXT: &str = "[EMPTY]";

/// What is called now and then within a long text, for the thread to do what is more urgent.
pub type Pause<'a> = &'a dyn Fn();

/// Bytes up to which the crate is given a text at once.
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
    /// Our own, for tokenizers of exactly BERT's kind.
    words: Option<WordPieces>,
    /// For all others, and for texts that the first leaves to it.
    tokenizer: Tokenizer,
    /// Where a long text is cut off.
    side: TruncationDirection,
    /// Where a text may be cut into pieces for it.
    cuts: Option<Cuts>,
    /// Special tokens around every text.
    frame: Frame,
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
        let frame = Frame::of(&tokenizer).map_err(|why| unusable(path, &why))?;
        let pipeline = BertPipeline::of(&tokenizer);
        let words = pipeline.as_ref().and_then(|pipeline| WordPieces::of(pipeline, &tokenizer));
        let cuts = pipeline.as_ref().and_then(Cuts::of);
        let loaded = Self { words, tokenizer, side, cuts, frame, rows, max_length };
        loaded.framed(Vec::new()).map_err(|why| unusable(path, &format!("its special tokens: {why}")))?;
        Ok(loaded)
    }

    /// The ids of one text. Within a long one it calls `pause` now and then.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text holds a token that the model has no row for, [`Error::TooLarge`] when it is long
    /// and cannot be cut into pieces, and [`Error::Failed`] when the tokenizer itself fails.
    pub fn encode(&self, text: &str, pause: Pause<'_>) -> Result<Encoding> {
        let text = if is_blank(text) { EMPTY_TEXT } else { text };
        let room = self.max_length.saturating_sub(self.specials());
        let mut kept = KeptIds::new(room, self.side);
        let is_done = self.words.as_ref().is_some_and(|words| words.encode(text, &mut kept, pause));
        let (ids, tokens) = if is_done { kept.finish() } else { self.encode_with_crate(text, room, pause)? };
        Ok(Encoding { ids: self.framed(ids)?, tokens: tokens + self.specials() })
    }

    /// At most `room` ids, and how many there were.
    fn encode_with_crate(&self, text: &str, room: usize, pause: Pause<'_>) -> Result<(Vec<u32>, usize)> {
        let mut kept = KeptIds::new(room, self.side);
        if text.len() <= SHORT {
            kept.push(self.tokenizer.encode_fast(text, false).map_err(failed)?.get_ids());
            return Ok(kept.finish());
        }
        let (ids, tokens) = long::encode(&self.tokenizer, self.cuts.as_ref(), text, (room, self.side), pause)?;
        kept.push(&ids);
        Ok((kept.finish().0, tokens))
    }

    /// Special tokens around every text: `max_length` must leave room for one more.
    pub const fn specials(&self) -> usize {
        self.frame.len()
    }

    /// Ids with the special ones around them.
    fn framed(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        let ids = self.frame.around(ids);
        match ids.iter().find(|id| **id as usize >= self.rows) {
            None => Ok(ids),
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
