//! Where a text may be cut so that its pieces have the tokens of the whole.
//!
//! BERT's normalizer works character by character, and its words end at white space, punctuation and Chinese characters:
//! a cut beside one of these, outside of every added token, changes nothing. Other tokenizers we do not cut.

use std::collections::HashMap;
use std::sync::Arc;

use tokenizers::AddedToken;

use super::characters::{Characters, Effect};
use super::pipeline::BertPipeline;

/// Where the texts for a tokenizer may be cut.
pub struct Cuts {
    characters: Arc<Characters>,
    /// Characters of a word beyond which it is unknown, whatever it is.
    pub longest_word: usize,
    /// Added tokens look beyond their own text here: only white space parts them for certain.
    only_at_spaces: bool,
    /// The texts of the added tokens.
    tokens: Vec<String>,
    /// Where a cut could go through an added token: by the characters beside it, what comes before and after.
    joints: HashMap<(char, char), Vec<(String, String)>>,
    /// The ASCII characters that stand before a joint, as bits: most do not.
    before_joints: u128,
}

impl Cuts {
    /// Those of a tokenizer, where cuts are known to be safe.
    pub fn of(pipeline: &BertPipeline<'_>) -> Option<Self> {
        let BertPipeline { model, characters, added } = pipeline;
        if !added.iter().all(is_cuttable) {
            return None;
        }
        let tokens: Vec<String> = added.iter().map(|token| token.content.clone()).collect();
        let joints = joints(&tokens);
        Some(Self {
            characters: Arc::clone(characters),
            longest_word: model.max_input_chars_per_word,
            only_at_spaces: added.iter().any(|token| token.single_word || token.normalized),
            before_joints: joints
                .keys()
                .filter(|(before, _)| before.is_ascii())
                .fold(0, |bits, (before, _)| bits | bit(*before)),
            joints,
            tokens,
        })
    }

    /// What a character does.
    pub fn effect(&self, character: char) -> Effect {
        self.characters.effect(character)
    }

    /// Whether a cut before the byte `at` is safe. `before` and `after` are the characters beside it.
    pub fn is_safe(&self, text: &str, at: usize, before: char, after: char) -> bool {
        (self.parts(before) || self.parts(after)) && !self.is_in_token(text, at, before, after)
    }

    /// Whether an added token stands in a text.
    pub fn has_token(&self, text: &str) -> bool {
        self.tokens.iter().any(|token| text.contains(token.as_str()))
    }

    /// Whether all characters of a text keep their places: marks of several kinds in a row may not.
    pub fn keeps_order(&self, text: &str) -> bool {
        let is_fixed = |character| self.characters.get(character).is_some();
        text.chars().zip(text.chars().skip(1)).all(|(one, next)| is_fixed(one) || is_fixed(next))
    }

    fn parts(&self, character: char) -> bool {
        self.effect(character) == Effect::Separates && (!self.only_at_spaces || character.is_whitespace())
    }

    fn is_in_token(&self, text: &str, at: usize, before: char, after: char) -> bool {
        if before.is_ascii() && self.before_joints & bit(before) == 0 {
            return false;
        }
        let (left, right) = text.split_at(at);
        self.joints.get(&(before, after)).is_some_and(|joints| {
            joints.iter().any(|(head, tail)| left.ends_with(head.as_str()) && right.starts_with(tail.as_str()))
        })
    }
}

/// White space at a token's end is also what its neighbours strip; inside it, a normalized token finds it in other shapes.
fn is_cuttable(token: &AddedToken) -> bool {
    let text = token.content.as_str();
    text.trim() == text && !(token.normalized && text.contains(char::is_whitespace))
}

fn bit(ascii: char) -> u128 {
    1 << (ascii as u32)
}

fn joints(tokens: &[String]) -> HashMap<(char, char), Vec<(String, String)>> {
    let mut joints: HashMap<_, Vec<_>> = HashMap::new();
    for token in tokens {
        for (at, next) in token.char_indices().skip(1) {
            let (head, tail) = token.split_at(at);
            if let Some(last) = head.chars().next_back() {
                joints.entry((last, next)).or_default().push((head.to_owned(), tail.to_owned()));
            }
        }
    }
    joints
}
