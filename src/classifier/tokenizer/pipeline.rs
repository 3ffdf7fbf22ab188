//! BERT's pipeline, where a tokenizer is exactly that: its normalizer or none, its pre-tokenizer, `WordPiece`.

use std::sync::Arc;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

use super::characters::Characters;

/// The parts of such a tokenizer.
pub struct BertPipeline<'a> {
    /// What cuts words into pieces.
    pub model: &'a WordPiece,
    /// What becomes of each character.
    pub characters: Arc<Characters>,
    /// What is found whole in a text before all else.
    pub added: Vec<AddedToken>,
}

impl<'a> BertPipeline<'a> {
    /// That of `tokenizer`, if it has this one.
    pub fn of(tokenizer: &'a Tokenizer) -> Option<Self> {
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let normalizer = match tokenizer.get_normalizer() {
            None => None,
            Some(NormalizerWrapper::BertNormalizer(normalizer)) => Some(*normalizer),
            Some(_) => return None,
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else { return None };
        let added = tokenizer.get_added_tokens_decoder().into_values().collect();
        Some(Self { model, characters: Arc::new(Characters::of(normalizer)), added })
    }
}
