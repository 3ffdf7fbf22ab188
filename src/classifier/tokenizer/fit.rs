//! Whether a tokenizer and the other files belong to one model.

use std::collections::HashMap;
use std::path::Path;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

use super::unusable;
use crate::Result;

/// Embeddings are sometimes padded to a round number of rows; a difference beyond that is another model's vocabulary.
const PADDING: usize = 128;

/// Holds the words to an embedding of `rows` rows. Added tokens may lie beyond it, as long as no text has them.
///
/// # Errors
/// [`crate::Error::Checkpoint`] when there are more words than rows, or far fewer.
pub fn check_size(tokenizer: &Tokenizer, path: &Path, rows: usize) -> Result<()> {
    let ids = |added: bool| tokenizer.get_vocab(added).values().max().map_or(0, |id| *id as usize + 1);
    let (words, all) = (ids(false), ids(true));
    if words > rows || all.next_multiple_of(PADDING) < rows {
        return Err(unusable(
            path,
            &format!(
                "{all} token ids, but config.json has vocab_size {rows}; the two files belong to different models"
            ),
        ));
    }
    Ok(())
}

/// Looks for added tokens that are nothing once they are normalized, on which the tokenizer would panic, or the same as
/// another one, of which it would find now one and now the other.
///
/// # Errors
/// [`crate::Error::Checkpoint`] with the token.
pub fn check_added(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let mut seen = HashMap::new();
    for token in tokenizer.get_added_tokens_decoder().into_values().filter(|token| token.normalized) {
        let mut text = NormalizedString::from(token.content.as_str());
        if let Some(normalizer) = tokenizer.get_normalizer() {
            normalizer.normalize(&mut text).map_err(|e| unusable(path, &e))?;
        }
        if text.get().is_empty() {
            return Err(unusable(
                path,
                &format!("nothing is left of the added token {:?} once it is normalized", token.content),
            ));
        }
        if let Some(other) = seen.insert(text.get().to_owned(), token.content.clone()) {
            let (first, second) = (other.clone().min(token.content.clone()), other.max(token.content));
            return Err(unusable(
                path,
                &format!("the added tokens {first:?} and {second:?} are the same once they are normalized"),
            ));
        }
    }
    Ok(())
}

/// Holds `tokenizer.json` to `vocab.txt`, where both are there.
///
/// # Errors
/// [`crate::Error::Checkpoint`] with a word that they number differently.
pub fn check_same_vocabulary(tokenizer: &Tokenizer, json: &Path, vocab: &Path) -> Result<()> {
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
