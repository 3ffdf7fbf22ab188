//! What BERT's normalizer and pre-tokenizer make of each character.
//!
//! Both work character by character, so what becomes of one can be asked of themselves, once, and be looked up from then
//! on. No table of Unicode stands here.

use std::sync::OnceLock;

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};
use unicode_normalization_alignments::char::canonical_combining_class;

/// Ends a word. Not a byte of UTF-8.
pub const BREAK: u8 = 0xff;
/// In [`Characters::ascii`]: is a word by itself.
pub const ALONE: u8 = 0xfe;
/// In [`Characters::ascii`]: is as if it were not there.
pub const NOTHING: u8 = 0xfd;
/// In [`Characters::ascii`]: must be looked up.
pub const OTHER: u8 = 0xfc;

/// Characters that are looked up together: tens of microseconds' work, the first time.
const PAGE: usize = 32;

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

/// What becomes of characters.
pub struct Characters {
    rules: Rules,
    /// A byte of a word, or one of the above.
    pub ascii: [u8; 128],
    pages: Box<[OnceLock<Box<Page>>]>,
}

struct Rules {
    normalizer: Option<BertNormalizer>,
    /// Whether text is decomposed, in which marks of several kinds change places.
    decomposes: bool,
}

/// What becomes of the characters of a page, one behind the other.
struct Page {
    bytes: Vec<u8>,
    /// Where each has its bytes; `None` where they depend on its neighbours.
    spans: Vec<Option<(u32, u32)>>,
}

impl Characters {
    /// Those of a normalizer, or without one.
    pub fn of(normalizer: Option<BertNormalizer>) -> Self {
        let decomposes = normalizer.is_some_and(|bert| bert.strip_accents.unwrap_or(bert.lowercase));
        let pages = (0..=(char::MAX as usize) / PAGE).map(|_| OnceLock::new()).collect();
        let mut characters = Self { rules: Rules { normalizer, decomposes }, ascii: [OTHER; 128], pages };
        for byte in 0..128 {
            let becomes = characters.get(char::from(byte));
            characters.ascii[usize::from(byte)] = match becomes {
                Some(&[joined]) => joined, // also BREAK
                Some([]) => NOTHING,
                Some(&[BREAK, alone, BREAK]) if alone == byte => ALONE,
                _ => OTHER,
            };
        }
        characters
    }

    /// The bytes that a character adds to a text's words, with [`BREAK`] where one ends; `None` where that depends on its
    /// neighbours.
    pub fn get(&self, character: char) -> Option<&[u8]> {
        let (page, at) = (character as usize / PAGE, character as usize % PAGE);
        let page = self.pages[page].get_or_init(|| Box::new(self.rules.page(page)));
        page.spans[at].map(|(start, end)| &page.bytes[start as usize..end as usize])
    }

    /// What a character does to the words beside it.
    pub fn effect(&self, character: char) -> Effect {
        match self.get(character) {
            Some([]) => Effect::Vanishes,
            Some([BREAK] | [BREAK, .., BREAK]) => Effect::Separates,
            _ => Effect::Joins,
        }
    }
}

impl Rules {
    fn page(&self, page: usize) -> Page {
        let (mut bytes, mut spans) = (Vec::new(), Vec::with_capacity(PAGE));
        for number in page * PAGE..(page + 1) * PAGE {
            let becomes = char::from_u32(number as u32).and_then(|character| self.becomes(character));
            spans.push(becomes.map(|becomes| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(&becomes);
                (start, bytes.len() as u32)
            }));
        }
        Page { bytes, spans }
    }

    fn becomes(&self, character: char) -> Option<Vec<u8>> {
        let mut normalized = NormalizedString::from(character.to_string());
        if let Some(normalizer) = &self.normalizer {
            normalizer.normalize(&mut normalized).ok()?;
        }
        let normalized = normalized.get();
        if self.decomposes && normalized.chars().any(|c| canonical_combining_class(c) != 0) {
            return None;
        }
        let mut words = PreTokenizedString::from(format!("a{normalized}a"));
        BertPreTokenizer.pre_tokenize(&mut words).ok()?;
        let words = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
        let words: Vec<&[u8]> = words.iter().map(|(word, ..)| word.as_bytes()).collect();
        let between = words.join(&BREAK);
        Some(between.strip_prefix(b"a")?.strip_suffix(b"a")?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uncased() -> Characters {
        Characters::of(Some(BertNormalizer::default()))
    }

    #[test]
    fn characters_join_part_and_vanish() {
        let characters = uncased();
        for (character, becomes) in [
            ('a', "a".as_bytes()),
            ('Q', b"q"),
            ('é', b"e"),
            ('\u{301}', b""),
            ('\u{200b}', b""),
            (' ', b"\xff"),
            ('\u{3000}', b"\xff"),
            ('!', b"\xff!\xff"),
            ('—', "\u{0}—\u{0}".as_bytes()),
            ('中', "\u{0}中\u{0}".as_bytes()),
            ('ß', "ß".as_bytes()),
            ('İ', b"i"),
            ('가', "\u{1100}\u{1161}".as_bytes()),
        ] {
            let becomes: Vec<u8> = becomes.iter().map(|byte| if *byte == 0 { BREAK } else { *byte }).collect();
            assert_eq!(characters.get(character), Some(becomes.as_slice()), "{character:?}");
        }
        assert_eq!(characters.get('\u{302e}'), None, "a mark that stays, and whose place depends on others");
    }

    #[test]
    fn ascii_has_a_table() {
        let ascii = uncased().ascii;
        assert_eq!(
            [b'a', b'Z', b'7', b' ', b'\t', 0, b'[', b'_'].map(|byte| ascii[usize::from(byte)]),
            [b'a', b'z', b'7', BREAK, BREAK, NOTHING, ALONE, ALONE]
        );
        assert_eq!(Characters::of(None).ascii[usize::from(b'Z')], b'Z');
    }
}
