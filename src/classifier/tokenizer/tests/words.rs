//! Our own words and pieces are those of the `tokenizers` crate, id for id.

use std::cell::Cell;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tokenizers::utils::truncation::TruncationDirection::{self, Left, Right};

use super::settings::{load, repository};
use crate::classifier::tokenizer::kept_ids::KeptIds;
use crate::classifier::tokenizer::{TextTokenizer, wordpiece::WordPieces};

/// The bundled tokenizer, with BERT's whole vocabulary, and other parts where `changes` has them.
fn tokenizer(changes: &Value) -> TextTokenizer {
    let (bundled, folder) = (repository("data/sst2-mini"), tempfile::tempdir().unwrap());
    std::fs::copy(bundled.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(bundled.join("tokenizer.json")).unwrap()).unwrap();
    for (part, changes) in changes.as_object().unwrap() {
        match (&mut json[part], changes) {
            (Value::Object(part), Value::Object(changes)) => part.extend(changes.clone()),
            (part, changes) => *part = changes.clone(),
        }
    }
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    std::fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    load(folder.path(), 30522, 128).unwrap()
}

/// Every way in which the normalizer can be set, and words that are cut in other ways.
static TOKENIZERS: LazyLock<Vec<TextTokenizer>> = LazyLock::new(|| {
    [
        json!({}),
        json!({"normalizer": {"lowercase": false}}),
        json!({"normalizer": {"lowercase": false, "strip_accents": true}}),
        json!({"normalizer": {"strip_accents": false}}),
        json!({"normalizer": {"clean_text": false, "handle_chinese_chars": false}}),
        json!({"normalizer": null}),
        json!({"model": {"continuing_subword_prefix": "", "max_input_chars_per_word": 7}}),
        json!({"model": {"continuing_subword_prefix": "@@", "unk_token": "[MASK]"}}),
    ]
    .iter()
    .map(tokenizer)
    .collect()
});

fn words(tokenizer: &TextTokenizer) -> &WordPieces {
    tokenizer.words.as_ref().expect("one of BERT's kind")
}

fn by_crate(tokenizer: &TextTokenizer, text: &str) -> Vec<u32> {
    tokenizer.tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
}

/// `None` where the text is left to the crate.
fn by_us(tokenizer: &TextTokenizer, text: &str) -> Option<Vec<u32>> {
    let mut kept = KeptIds::all();
    words(tokenizer).encode(text, &mut kept, &|| ()).then(|| kept.finish().0)
}

/// Whether the text was not left to the crate.
fn agree(tokenizer: &TextTokenizer, text: &str) -> bool {
    let ours = by_us(tokenizer, text);
    assert!(ours.as_ref().is_none_or(|ours| *ours == by_crate(tokenizer, text)), "{text:?}");
    ours.is_some()
}

/// The planes that have characters; of each other one page of 128 in sixteen.
fn characters() -> impl Iterator<Item = char> {
    ('\0'..=char::MAX).filter(|character| {
        let number = *character as u32;
        matches!(number >> 16, 0..=3 | 14) || (number >> 7).is_multiple_of(16)
    })
}

#[test]
fn every_character_of_unicode_beside_letters_and_alone() {
    let all: Vec<char> = characters().collect();
    for tokenizer in [&TOKENIZERS[0], &TOKENIZERS[3]] {
        let mut left = 0;
        for some in all.chunks(64) {
            let text: String = some.iter().flat_map(|character| ['a', *character, 'b', ' ', *character, ' ']).collect();
            if !agree(tokenizer, &text) {
                let alone = |character: &&char| !agree(tokenizer, &format!("a{character}b {character} "));
                left += some.iter().filter(alone).count();
            }
        }
        assert!(left < 100, "{left} characters are left to the crate");
    }
}

#[test]
fn every_word_of_the_vocabulary() {
    let vocabulary: Vec<String> = TOKENIZERS[0].tokenizer.get_vocab(false).into_keys().collect();
    let whole: Vec<&str> = vocabulary.iter().map(String::as_str).filter(|word| !word.starts_with('[')).collect();
    let beside = |word: &&str| format!("{word} {}, {word}\u{ad}s ", word.to_uppercase());
    for (number, some) in whole.chunks(32).enumerate() {
        let text: String = some.iter().map(beside).collect();
        // Each by the bundled one, and some by the others in turn.
        let other = (number % 4 == 0).then(|| &TOKENIZERS[1 + number / 4 % (TOKENIZERS.len() - 1)]);
        for tokenizer in std::iter::once(&TOKENIZERS[0]).chain(other) {
            let is_ours = agree(tokenizer, &text);
            assert!(is_ours || some.iter().any(|word| !word.is_ascii()), "{text}");
        }
    }
}

/// What odd texts are made of: pieces of words, white space, marks, what vanishes, punctuation, Chinese and others, and added
/// tokens.
const PARTS: [&str; 84] = [
    "a",
    "film",
    "The",
    "GREAT",
    "un",
    "believ",
    "able",
    "ing",
    "##ing",
    "electro",
    "encephalo",
    "graph",
    "zzyzx",
    "7",
    "1999",
    "q",
    "x",
    "'s",
    "n't",
    "ß",
    "ǅ",
    "ﬀ",
    "İ",
    "ı",
    "Σ",
    "ς",
    "Æ",
    "ø",
    "é",
    "ü",
    "Ñ",
    "e\u{301}",
    " ",
    " ",
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "\u{3000}",
    "\u{1c}",
    "\u{301}",
    "\u{327}\u{301}",
    "\u{302e}",
    "\u{200d}",
    "\u{fe0f}",
    "\u{0}",
    "\u{fffd}",
    "\u{e000}",
    "\u{ad}",
    "\u{345}",
    ".",
    ",",
    "!",
    "?",
    "-",
    "’",
    "…",
    "—",
    "$",
    "^",
    "`",
    "[",
    "]",
    "中",
    "文字",
    "한국",
    "か\u{3099}",
    "हिन्दी",
    "ไทย",
    "עברית",
    "😀",
    "👍🏽",
    "①",
    "½",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[PAD",
];

/// Marsaglia's xorshift: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(12) {
            match self.below(40) {
                0 => text.extend(char::from_u32(self.below(0x3_0000) as u32)),
                1 => text.extend(std::iter::repeat_n(PARTS[self.below(32)], 90 + self.below(20))),
                _ => text.push_str(PARTS[self.below(PARTS.len())]),
            }
        }
        text
    }
}

#[test]
fn a_hundred_thousand_odd_texts() {
    let (mut random, mut ours, count) = (Random(15), 0, 100_000);
    for number in 0..count {
        // Mostly the bundled one; the others in turn.
        let which = if number % 4 == 0 { number / 4 % TOKENIZERS.len() } else { 0 };
        ours += usize::from(agree(&TOKENIZERS[which], &random.text()));
    }
    assert!(ours > count / 2, "only {ours} of {count} texts were ours to do");
}

#[test]
fn words_are_as_long_as_they_may_be() {
    for tokenizer in TOKENIZERS.iter() {
        for length in (0..16).chain(90..110) {
            for word in ["a", "é", "ǆ", "가", "中", "q\u{301}", "\u{200d}x"] {
                assert!(agree(tokenizer, &format!("the {} end", word.repeat(length))));
            }
        }
    }
}

#[test]
fn truncation_keeps_the_first_or_the_last() {
    let tokenizer = &TOKENIZERS[0];
    let text = "An unbelievably overlong electroencephalograph, zzyzx! ".repeat(40);
    let all = by_crate(tokenizer, &text);
    for room in [0, 1, 2, 3, 50, 126, all.len() - 1, all.len(), all.len() + 1] {
        let kept = |side: TruncationDirection| {
            let mut kept = KeptIds::new(room, side);
            assert!(words(tokenizer).encode(&text, &mut kept, &|| ()));
            kept.finish()
        };
        let length = all.len().min(room);
        assert_eq!(kept(Right), (all[..length].to_vec(), all.len()), "{room}");
        assert_eq!(kept(Left), (all[all.len() - length..].to_vec(), all.len()), "{room}");
    }
}

#[test]
fn a_long_text_pauses() {
    let (text, pauses) = ("a fine film! ".repeat(100_000), Cell::new(0));
    assert!(words(&TOKENIZERS[0]).encode(&text, &mut KeptIds::new(126, Right), &|| pauses.set(pauses.get() + 1)));
    assert!(pauses.get() >= text.len() / (8 << 10), "{}", pauses.get());
}

#[test]
fn what_people_serve_is_of_this_kind() {
    for (folder, rows) in [("data/sst2-mini", 30522), ("tests/fixtures/golden/f16", 384)] {
        assert!(load(&repository(folder), rows, 128).unwrap().words.is_some(), "{folder}");
    }
}

#[test]
fn what_is_not_of_this_kind_is_left_to_the_crate() {
    let added = |token: Value| json!({"added_tokens": [{"id": 100, "content": "[UNK]", "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false}, token]});
    let token = json!({"id": 2000, "content": "love", "special": false, "normalized": true, "single_word": false, "lstrip": false, "rstrip": false});
    for changes in [
        json!({"normalizer": {"type": "Lowercase"}}),
        json!({"pre_tokenizer": {"type": "Whitespace"}}),
        json!({"model": {"unk_token": "[NONE]"}}),
        added(token.clone()),
    ] {
        assert!(tokenizer(&changes).words.is_none(), "{changes}");
    }
    let mut special = token;
    special["normalized"] = json!(false);
    let special = tokenizer(&added(special));
    assert!(!agree(&special, "I love it") && agree(&special, "I like it"));
}
