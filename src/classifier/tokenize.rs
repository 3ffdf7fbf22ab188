//! Text → token ids, as transformers' fast BERT tokenizer gives them: truncation, and `[EMPTY]` for what is blank.

use std::path::Path;

use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{AddedToken, PostProcessor, Tokenizer};

use super::blank::is_blank;
use super::checkpoint::TokenizerFiles;
use crate::{Error, Result};

/// What a blank text is scored as.
pub const EMPTY_TEXT: &str = "[EMPTY]";

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
    /// Special tokens around every text.
    specials: usize,
    max_length: usize,
}

impl TextTokenizer {
    /// Loads `tokenizer.json`, or builds the tokenizer from `vocab.txt` where there is none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a file cannot be read, or does not fit an embedding of `vocab_size` rows.
    pub fn load(files: &TokenizerFiles, vocab_size: usize, max_length: usize) -> Result<Self> {
        let (path, mut tokenizer) = match (&files.tokenizer, &files.vocab) {
            (Some(json), _) => (json, Tokenizer::from_file(json).map_err(|e| unusable(json, &e))?),
            (None, Some(vocab)) => (vocab, from_vocab(vocab, files.tokenizer_config.as_deref())?),
            (None, None) => return Err(Error::Checkpoint("neither tokenizer.json nor vocab.txt".to_owned())),
        };
        // We truncate and never pad: what the file says of either is for others.
        tokenizer.with_truncation(None).map_err(|e| unusable(path, &e))?.with_padding(None);
        check_size(&tokenizer, path, vocab_size)?;
        if let (Some(json), Some(vocab)) = (&files.tokenizer, &files.vocab) {
            check_same_vocabulary(&tokenizer, json, vocab)?;
        }
        let specials = tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(false));
        Ok(Self { tokenizer, specials, max_length })
    }

    /// The ids of one text.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer itself fails.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let text = if is_blank(text) { EMPTY_TEXT } else { text };
        let failed = |e| Error::Failed(format!("tokenizing failed: {e}"));
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        let tokens = encoding.len() + self.specials;
        encoding.truncate(self.max_length.saturating_sub(self.specials), 0, TruncationDirection::Right);
        // What was cut off would get its special tokens, too.
        drop(encoding.take_overflowing());
        let encoding = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
        Ok(Encoding { ids: encoding.get_ids().to_vec(), tokens })
    }

    /// Special tokens around every text: `max_length` must leave room for one more.
    pub const fn specials(&self) -> usize {
        self.specials
    }
}

/// The keys of `tokenizer_config.json` that change ids, with transformers' defaults.
#[derive(Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
    unk_token: Token,
    sep_token: Token,
    pad_token: Token,
    cls_token: Token,
    mask_token: Token,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        let token = |text: &str| Token::Text(text.to_owned());
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            unk_token: token("[UNK]"),
            sep_token: token("[SEP]"),
            pad_token: token("[PAD]"),
            cls_token: token("[CLS]"),
            mask_token: token("[MASK]"),
        }
    }
}

/// A special token: old files write its text, newer ones an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Object { content: String },
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// A BERT tokenizer from its vocabulary, by the settings in `tokenizer_config.json`.
fn from_vocab(vocab: &Path, config: Option<&Path>) -> Result<Tokenizer> {
    let settings = match config {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| unusable(path, &e))?;
            serde_json::from_str(&text).map_err(|e| unusable(path, &e))?
        }
        None => TokenizerConfig::default(),
    };
    let bytes = std::fs::read(vocab).map_err(|e| unusable(vocab, &e))?;
    let words = WordPiece::read_bytes(&bytes).map_err(|e| unusable(vocab, &e))?;
    let id = |token: &Token| {
        let text = token.text().to_owned();
        let id = words.get(&text).copied();
        id.map(|id| (text, id)).ok_or_else(|| {
            unusable(vocab, &format!("the special token {} is not in it; is it the whole file?", token.text()))
        })
    };
    let (sep, cls) = (id(&settings.sep_token)?, id(&settings.cls_token)?);
    id(&settings.unk_token)?;
    let model = WordPiece::builder()
        .vocab(words.clone())
        .unk_token(settings.unk_token.text().to_owned())
        .build()
        .map_err(|e| unusable(vocab, &e))?;
    let mut tokenizer = Tokenizer::new(model);
    let normalizer =
        BertNormalizer::new(true, settings.tokenize_chinese_chars, settings.strip_accents, settings.do_lower_case);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| unusable(vocab, &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer)).with_post_processor(Some(BertProcessing::new(sep, cls)));
    let specials =
        [&settings.pad_token, &settings.unk_token, &settings.cls_token, &settings.sep_token, &settings.mask_token];
    let specials = specials.into_iter().filter(|t| words.contains_key(t.text()));
    let specials = specials.map(|t| AddedToken::from(t.text(), true));
    tokenizer.add_special_tokens(specials).map_err(|e| unusable(vocab, &e))?;
    Ok(tokenizer)
}

/// Embeddings are sometimes padded to a round number of rows; a difference beyond that is another model's vocabulary.
const PADDING: usize = 128;

fn check_size(tokenizer: &Tokenizer, path: &Path, vocab_size: usize) -> Result<()> {
    let words = tokenizer.get_vocab(true);
    let ids = words.values().max().map_or(0, |id| *id as usize + 1);
    if ids > vocab_size || ids.next_multiple_of(PADDING) < vocab_size {
        return Err(unusable(
            path,
            &format!(
                "{ids} token ids, but config.json has vocab_size {vocab_size}; the two files belong to different models"
            ),
        ));
    }
    Ok(())
}

fn check_same_vocabulary(tokenizer: &Tokenizer, json: &Path, vocab: &Path) -> Result<()> {
    let bytes = std::fs::read(vocab).map_err(|e| unusable(vocab, &e))?;
    for (word, id) in WordPiece::read_bytes(&bytes).map_err(|e| unusable(vocab, &e))? {
        if tokenizer.token_to_id(&word) != Some(id) {
            return Err(unusable(
                json,
                &format!(
                    "it disagrees with {} about {word:?} (id {id} there); keep the file that belongs to the model",
                    vocab.display()
                ),
            ));
        }
    }
    Ok(())
}

fn unusable(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::Checkpoint(format!("{}: {cause}", path.display()))
}
