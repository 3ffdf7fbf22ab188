//! Where a text may be cut so that its pieces have the tokens of the whole.
//!
//! BERT's normalizer works character by character, and its words end at white space, punctuation and Chinese characters:
//! a cut beside one of these, outside of every added token, changes nothing. What a character is we ask the tokenizer
//! itself. Other tokenizers we do not cut.

use std::cell::RefCell;
use std::collections::HashMap;

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Tokenizer,
};

/// What a character does to the words beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Ends the word before it; another begins after it.
    Separates,
    /// Is a part of a word.
    Joins,
    /// Is as if it were not there.
    Vanishes,
}

/// What must be known of a tokenizer to cut texts for it.
pub struct Cuts {
    /// `None` where no cut is known to be safe.
    rules: Option<Rules>,
}

/// A tokenizer's rules for cutting.
pub struct Rules {
    ascii: Vec<Effect>,
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
    /// Looks at a tokenizer.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        Self { rules: Rules::of(tokenizer) }
    }

    /// The rules for cutting one text, unless it must stay whole.
    pub fn scan<'a>(&'a self, tokenizer: &'a Tokenizer) -> Option<Scan<'a>> {
        self.rules.as_ref().map(|rules| Scan { rules, tokenizer, others: RefCell::default() })
    }
}

impl Rules {
    fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let per_character = matches!(tokenizer.get_normalizer(), None | Some(NormalizerWrapper::BertNormalizer(_)));
        let bert = matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
        let added: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
        if !per_character || !bert || !added.iter().all(is_cuttable) {
            return None;
        }
        let tokens: Vec<String> = added.iter().map(|token| token.content.clone()).collect();
        let joints = joints(&tokens);
        Some(Self {
            before_joints: joints
                .keys()
                .filter(|(before, _)| before.is_ascii())
                .fold(0, |bits, (before, _)| bits | bit(*before)),
            ascii: (0..128u8).map(|byte| effect(tokenizer, char::from(byte))).collect(),
            longest_word: model.max_input_chars_per_word,
            only_at_spaces: added.iter().any(|token| token.single_word || token.normalized),
            joints,
            tokens,
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

/// The effect of a character, by what becomes of it between two letters.
fn effect(tokenizer: &Tokenizer, character: char) -> Effect {
    let mut between = NormalizedString::from(format!("a{character}a"));
    if let Some(normalizer) = tokenizer.get_normalizer()
        && normalizer.normalize(&mut between).is_err()
    {
        return Effect::Joins;
    }
    if between.get() == "aa" {
        return Effect::Vanishes;
    }
    let mut words = PreTokenizedString::from(between);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer()
        && pre_tokenizer.pre_tokenize(&mut words).is_err()
    {
        return Effect::Joins;
    }
    let words = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    match words.as_slice() {
        [first, .., last] if first.0 == "a" && last.0 == "a" => Effect::Separates,
        _ => Effect::Joins,
    }
}

/// The rules at work on one text: remembers what it has learned of its characters.
pub struct Scan<'a> {
    /// The tokenizer's rules.
    pub rules: &'a Rules,
    tokenizer: &'a Tokenizer,
    others: RefCell<HashMap<char, Effect>>,
}

impl Scan<'_> {
    /// What a character does.
    pub fn effect(&self, character: char) -> Effect {
        match self.rules.ascii.get(character as usize) {
            Some(effect) => *effect,
            None => *self.others.borrow_mut().entry(character).or_insert_with(|| effect(self.tokenizer, character)),
        }
    }

    /// Whether a cut before the byte `at` is safe. `before` and `after` are the characters beside it.
    pub fn is_safe(&self, text: &str, at: usize, before: char, after: char) -> bool {
        (self.parts(before) || self.parts(after)) && !self.is_in_token(text, at, before, after)
    }

    /// Whether an added token stands in a text.
    pub fn has_token(&self, text: &str) -> bool {
        self.rules.tokens.iter().any(|token| text.contains(token.as_str()))
    }

    /// Whether the characters of a text are normalized each for itself: marks of several kinds in a row change places.
    pub fn keeps_order(&self, text: &str) -> bool {
        let apart = |character: char| self.normalized(&character.to_string());
        text.chars().map(apart).collect::<Option<String>>() == self.normalized(text)
    }

    fn normalized(&self, text: &str) -> Option<String> {
        let mut text = NormalizedString::from(text);
        if let Some(normalizer) = self.tokenizer.get_normalizer() {
            normalizer.normalize(&mut text).ok()?;
        }
        Some(text.get().to_owned())
    }

    fn parts(&self, character: char) -> bool {
        self.effect(character) == Effect::Separates && (!self.rules.only_at_spaces || character.is_whitespace())
    }

    fn is_in_token(&self, text: &str, at: usize, before: char, after: char) -> bool {
        if before.is_ascii() && self.rules.before_joints & bit(before) == 0 {
            return false;
        }
        let (left, right) = text.split_at(at);
        self.rules.joints.get(&(before, after)).is_some_and(|joints| {
            joints.iter().any(|(head, tail)| left.ends_with(head.as_str()) && right.starts_with(tail.as_str()))
        })
    }
}
