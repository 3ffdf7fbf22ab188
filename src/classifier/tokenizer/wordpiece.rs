//! BERT's own pipeline, in one pass: characters are normalized into words, and words are cut into the longest pieces that the
//! vocabulary has, as the `tokenizers` crate does it with a string for each of these.
//!
//! What becomes of a character is asked of the crate ([`Characters`]), the pieces are found in a trie, from a word's start
//! on and, behind it, from the node of the prefix `##` on. (Wu et al., 2016, <https://arxiv.org/abs/1609.08144>, section 4.1;
//! longest match first.) What the crate does beyond that stays with it: texts with added tokens, and marks that change places.

use std::sync::Arc;

use tokenizers::{Model, Tokenizer};
use tracing::warn;

use super::Pause;
use super::characters::{ALONE, BREAK, Characters, NOTHING, OTHER};
use super::kept_ids::KeptIds;
use super::pipeline::BertPipeline;
use super::trie::{ROOT, Trie};

/// Bytes between pauses: tens of microseconds, but for characters that are seen for the first time.
const STRIDE: usize = 4 << 10;

/// A tokenizer of exactly BERT's kind.
pub struct WordPieces {
    characters: Arc<Characters>,
    /// [`Characters::ascii`], where no added token begins.
    ascii: [u8; 128],
    trie: Trie,
    /// Where a piece begins that is not a word's first; `None` where the vocabulary has none.
    inner: Option<u32>,
    unknown: u32,
    /// Characters of a word beyond which it is unknown.
    longest_word: usize,
    /// Texts of tokens that are looked for before anything else.
    added: Vec<String>,
    /// Whether one of them begins with this byte.
    begins_added: [bool; 256],
}

/// What must come out as it does of the crate, or this tokenizer is not of the kind that it seems to be.
const SAMPLES: [&str; 6] = [
    "It's a charming and often affecting journey, isn't it? 10/10!",
    "  Déjà vu -- naïve ÆSIR; Straße, İstanbul, ΣΊΣΥΦΟΣ\t\u{a0}tail ",
    "电影 is great。東京タワー 한국어 हिन्दी ไทย עברית",
    "unbelievablyoverlongwordsareunknownorcutintopieces supercalifragilisticexpialidocious qzxjv",
    "\u{0}con\u{200d}trol\u{fffd} emoji😀👍🏽 ﬁ ① ½ e\u{301}\u{327} x\u{302e}y",
    "##ing # @user http://example.com/a?b=c&d #hash_tag <br /><br /> (c) … “quoted” ‘s",
];

impl WordPieces {
    /// One that gives what `tokenizer`, whose pipeline this is, gives; `None` where ours does not.
    pub fn of(pipeline: &BertPipeline<'_>, tokenizer: &Tokenizer) -> Option<Self> {
        let BertPipeline { model, characters, added } = pipeline;
        // One that is normalized may stand in a text that does not hold it letter by letter.
        if added.iter().any(|token| token.normalized || token.content.is_empty()) {
            return None;
        }
        let vocabulary = model.get_vocab();
        let trie = Trie::of(vocabulary.iter().map(|(word, id)| (word.as_str(), *id)))?;
        let mut prefix = model.continuing_subword_prefix.bytes();
        let mut pieces = Self {
            characters: Arc::clone(characters),
            ascii: characters.ascii,
            inner: prefix.try_fold(ROOT, |node, byte| trie.step(node, byte)),
            trie,
            unknown: *vocabulary.get(&model.unk_token)?,
            longest_word: model.max_input_chars_per_word,
            added: added.iter().map(|token| token.content.clone()).collect(),
            begins_added: [false; 256],
        };
        for token in &pieces.added {
            let first = token.as_bytes()[0];
            pieces.begins_added[usize::from(first)] = true;
            if let Some(ascii) = pieces.ascii.get_mut(usize::from(first)) {
                *ascii = OTHER;
            }
        }
        pieces.agrees_with(tokenizer).then_some(pieces)
    }

    fn agrees_with(&self, tokenizer: &Tokenizer) -> bool {
        SAMPLES.iter().all(|sample| {
            let mut ours = KeptIds::all();
            let theirs = tokenizer.encode_fast(*sample, false);
            let agrees = !self.encode(sample, &mut ours, &|| ())
                || theirs.is_ok_and(|theirs| theirs.get_ids() == ours.finish().0);
            if !agrees {
                warn!(sample, "our own WordPiece does not give what this tokenizer gives, and is not used");
            }
            agrees
        })
    }

    /// Adds the ids of `text` to `kept`; false where only the crate can tell them, and what was added is worth nothing. Calls
    /// `pause` now and then.
    pub fn encode(&self, text: &str, kept: &mut KeptIds, pause: Pause<'_>) -> bool {
        let mut word = Word::default();
        let (bytes, mut at, mut stop) = (text.as_bytes(), 0, STRIDE);
        while let Some(byte) = bytes.get(at) {
            let mut length = 1;
            match self.ascii.get(usize::from(*byte)).copied().unwrap_or(OTHER) {
                OTHER => {
                    let Some(character) = self.plain(text, at) else { return false };
                    let Some(becomes) = self.characters.get(character) else { return false };
                    for byte in becomes {
                        self.take(*byte, &mut word, kept);
                    }
                    length = character.len_utf8();
                }
                NOTHING => {}
                BREAK => self.end(&mut word, kept),
                ALONE => {
                    self.end(&mut word, kept);
                    self.take(*byte, &mut word, kept);
                    self.end(&mut word, kept);
                }
                joined => self.take(joined, &mut word, kept),
            }
            at += length;
            if at >= stop {
                pause();
                stop = at + STRIDE;
            }
        }
        self.end(&mut word, kept);
        true
    }

    /// The character at the byte `at`, where no added token begins.
    fn plain(&self, text: &str, at: usize) -> Option<char> {
        let rest = &text[at..];
        let begins = self.begins_added[usize::from(text.as_bytes()[at])];
        let is_added = begins && self.added.iter().any(|token| rest.starts_with(token.as_str()));
        if is_added { None } else { rest.chars().next() }
    }

    /// A byte of a word, or its end.
    #[inline]
    fn take(&self, byte: u8, word: &mut Word, kept: &mut KeptIds) {
        if byte == BREAK {
            return self.end(word, kept);
        }
        // Bytes that go on with a character do not count.
        word.characters += usize::from(byte & 0xc0 != 0x80);
        if word.characters <= self.longest_word {
            word.bytes.push(byte);
        }
    }

    /// The pieces of a word that has come to its end, if there is one.
    #[inline]
    fn end(&self, word: &mut Word, kept: &mut KeptIds) {
        if word.characters == 0 {
            return;
        }
        let is_known = word.characters <= self.longest_word && self.cut(&word.bytes, &mut word.pieces);
        kept.push(if is_known { &word.pieces } else { std::slice::from_ref(&self.unknown) });
        word.characters = 0;
        word.bytes.clear();
        word.pieces.clear();
    }

    /// The longest pieces of a word, from its start to its end; false where one is not in the vocabulary.
    fn cut(&self, mut word: &[u8], pieces: &mut Vec<u32>) -> bool {
        let mut start = Some(ROOT);
        while !word.is_empty() {
            let Some((piece, length)) = start.and_then(|node| self.longest(node, word)) else { return false };
            pieces.push(piece);
            word = &word[length..];
            start = self.inner;
        }
        true
    }

    /// The longest string of the vocabulary that goes on from `node` as `word` does: its id, and how many bytes it takes.
    #[inline]
    fn longest(&self, mut node: u32, word: &[u8]) -> Option<(u32, usize)> {
        let mut longest = None;
        for (at, byte) in word.iter().enumerate() {
            let Some(next) = self.trie.step(node, *byte) else { break };
            node = next;
            if let Some(id) = self.trie.value(node) {
                longest = Some((id, at + 1));
            }
        }
        longest
    }
}

/// A word on its way, normalized.
#[derive(Default)]
struct Word {
    /// Of as many characters as a word may have.
    bytes: Vec<u8>,
    characters: usize,
    /// Room for its pieces.
    pieces: Vec<u32>,
}
