//! A long text in pieces has the ids of the whole, whatever stands where it is cut.

use std::cell::Cell;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::utils::truncation::TruncationDirection::{self, Left, Right};

use super::settings::{load, repository};
use crate::Error;
use crate::classifier::tokenizer::{SHORT, TextTokenizer, long};

const ROOM: usize = 50;

/// The tokenizer of a golden checkpoint with other settings; `tokenizer.json` is changed where that is not null.
fn tokenizer(settings: &Value, changes: &Value) -> TextTokenizer {
    let (golden, folder) = (repository("tests/fixtures/golden/f16"), tempfile::tempdir().unwrap());
    let write = |file: &str, value: &Value| std::fs::write(folder.path().join(file), value.to_string()).unwrap();
    std::fs::copy(golden.join("config.json"), folder.path().join("config.json")).unwrap();
    write("tokenizer_config.json", settings);
    let mut json: Value = serde_json::from_slice(&std::fs::read(golden.join("tokenizer.json")).unwrap()).unwrap();
    json.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap_or_default());
    write("tokenizer.json", &json);
    load(folder.path(), 384, 128).unwrap()
}

fn added(tokens: &[Value]) -> Value {
    let tokens = tokens.iter().enumerate().map(|(id, token)| (id.to_string(), token.clone()));
    json!({"added_tokens_decoder": tokens.collect::<serde_json::Map<_, _>>()})
}

/// The kinds that cut differently.
static TOKENIZERS: LazyLock<Vec<TextTokenizer>> = LazyLock::new(|| {
    let cased = json!({"do_lower_case": false, "tokenize_chinese_chars": false, "strip_accents": false});
    let specials = [
        json!({"content": "[MASK]", "lstrip": true, "special": true}),
        json!({"content": "<a>", "rstrip": true, "special": true}),
        json!({"content": "new york", "special": true}),
        json!({"content": "love", "special": true}),
        json!({"content": "a\u{301}", "special": true}),
    ];
    let words = [
        json!({"content": "new", "single_word": true, "normalized": false}),
        json!({"content": "CAF\u{c9}"}),
        json!({"content": "\u{4e2d}\u{6587}"}),
        json!({"content": "<a>", "lstrip": true, "rstrip": true}),
    ];
    let backend = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    let unclean = json!({"normalizer": {"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": true, "strip_accents": true, "lowercase": false}});
    vec![
        tokenizer(&json!({}), &json!({})),
        tokenizer(&cased, &json!({})),
        tokenizer(&added(&specials), &json!({})),
        tokenizer(&added(&words), &json!({})),
        tokenizer(&json!({"split_special_tokens": true, "mask_token": "a b"}), &json!({})),
        tokenizer(&backend, &unclean),
        tokenizer(&backend, &json!({"normalizer": null})),
    ]
});

/// Ids that truncation keeps, and the number of all.
fn whole(tokenizer: &TextTokenizer, text: &str, side: TruncationDirection) -> (Vec<u32>, usize) {
    let ids = tokenizer.tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec();
    let tokens = ids.len();
    (truncated(ids, side), tokens)
}

fn in_pieces(tokenizer: &TextTokenizer, text: &str, side: TruncationDirection) -> (Vec<u32>, usize) {
    let (ids, tokens) =
        long::encode(&tokenizer.tokenizer, tokenizer.cuts.as_ref(), text, (ROOM, side), &|| ()).unwrap();
    (truncated(ids, side), tokens)
}

fn truncated(mut ids: Vec<u32>, side: TruncationDirection) -> Vec<u32> {
    match side {
        Right => ids.truncate(ROOM),
        Left => drop(ids.drain(..ids.len().saturating_sub(ROOM))),
    }
    ids
}

/// What may stand at a cut: words, every kind of space, marks, what vanishes, tokens and parts of them.
const PARTS: [&str; 54] = [
    "a",
    "love",
    "lovely",
    "NEW",
    "new",
    "york",
    "x1y2",
    "Caf\u{e9}",
    "cafe\u{301}",
    "\u{301}",
    "\u{302e}",
    "\u{1d165}",
    "\u{34f}",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\u{b}",
    "\u{1c}",
    "\0",
    "\u{200b}",
    "\u{200d}",
    "\u{ad}",
    "\u{fffd}",
    "\u{378}",
    "\u{4e2d}",
    "\u{6587}",
    "\u{4e2d}\u{6587}",
    "\u{f900}",
    "\u{2f800}",
    "\u{30ac}",
    "\u{ac00}",
    ".",
    ",",
    "-",
    "_",
    "\u{2019}",
    "\u{2026}",
    "\u{2260}",
    "\u{1fef}",
    "\u{37e}",
    "\u{130}",
    "[",
    "]",
    "[MASK]",
    "[MA",
    "SK]",
    "<a>",
    "new york",
];

fn nasty() -> impl Strategy<Value = String> {
    let part = prop::sample::select(PARTS.to_vec());
    let run = (part, 1usize..40).prop_map(|(part, times)| part.repeat(times));
    let mostly_single =
        prop_oneof![6 => prop::sample::select(PARTS.to_vec()).prop_map(ToOwned::to_owned), 1 => run, 1 => ".{0,3}"];
    prop::collection::vec(mostly_single, 200..900).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn pieces_are_the_whole(text in nasty(), filler in prop::sample::select(vec!["", "a", "love ", "\u{4e2d}", "\u{301}", "\0", " ", "."])) {
        // Long runs of one thing between nasty ends.
        let text = format!("{text}{}{text}", filler.repeat(10_000));
        for (kind, tokenizer) in TOKENIZERS.iter().enumerate() {
            for side in [Left, Right] {
                prop_assert_eq!(in_pieces(tokenizer, &text, side), whole(tokenizer, &text, side), "kind {}", kind);
            }
        }
    }
}

/// The number of tokens of a long text, and whether its thread could turn to other work all the while.
fn count(tokenizer: &TextTokenizer, text: &str) -> usize {
    let pauses = Cell::new(0);
    let encoding = tokenizer.encode(text, &|| pauses.set(pauses.get() + 1)).unwrap();
    assert!(encoding.ids.len() <= 128);
    assert!(pauses.get() >= text.len() >> 18, "{} pauses in {} bytes", pauses.get(), text.len());
    encoding.tokens - 2
}

#[test]
fn a_text_of_megabytes_without_a_space() {
    let [plain, cased, ..] = TOKENIZERS.as_slice() else { unreachable!() };
    let times = |part: &str| part.repeat((2 << 20) / part.len());
    for tokenizer in [plain, cased] {
        // A word that nobody can know, and others as long.
        for letters in ["a", "x1", "\u{ac00}", "\u{0}a", "a\u{301}\u{200b}"] {
            assert_eq!(count(tokenizer, &times(letters)), 1, "{letters:?}");
        }
        for nothing in ["\0", "\u{200b}", "\u{ad}\u{fffd}"] {
            assert_eq!(count(tokenizer, &times(nothing)), 0, "{nothing:?}");
        }
        for (part, tokens) in [(".", 1), ("[MASK]", 1), ("love ", 1), ("a,", 2)] {
            let text = times(part);
            assert_eq!(count(tokenizer, &text), text.len() / part.len() * tokens, "{part:?}");
        }
        assert_eq!(count(tokenizer, &(" ".repeat(2 << 20) + "love")), 1);
        let ids = |text: &str| tokenizer.encode(text, &|| ()).unwrap().ids;
        assert_eq!(ids(&" ".repeat(2 << 20)), ids(""));
    }
    assert_eq!(count(plain, &times("\u{4e2d}")), (2 << 20) / 3);
    assert_eq!(count(plain, &times("\u{301}")), 0);
    // A mark that stays, among others that do not.
    assert_eq!(count(plain, &format!("a\u{302e}{}", times("\u{301}"))), 1);
    // A bracket and four letters.
    assert_eq!(count(plain, &times("[MASK")), (2 << 20) / 5 * 5);
    assert_eq!(count(cased, &times("\u{4e2d}")), 1);
}

#[test]
fn a_tokenizer_that_is_not_bert_s_takes_a_text_whole_or_not_at_all() {
    let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    for changes in [
        json!({"pre_tokenizer": {"type": "WhitespaceSplit"}}),
        json!({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}}),
    ] {
        let tokenizer = tokenizer(&settings, &changes);
        assert_eq!(tokenizer.encode(&"love ".repeat(9_000), &|| ()).unwrap().tokens, 9_002);
        let error = tokenizer.encode(&"love ".repeat(300_000), &|| ()).unwrap_err();
        assert!(matches!(&error, Error::TooLarge(text) if text.contains("1500000 bytes")), "{error}");
    }
}

#[test]
fn a_long_text_is_cut_where_a_short_one_is() {
    for tokenizer in TOKENIZERS.iter().take(2) {
        for text in ["love ".repeat(SHORT / 5), "love ".repeat(SHORT)] {
            let encoding = tokenizer.encode(&text, &|| ()).unwrap();
            assert_eq!((encoding.ids.len(), encoding.tokens), (128, text.len() / 5 + 2));
            assert_eq!(encoding.ids, tokenizer.encode(&"love ".repeat(126), &|| ()).unwrap().ids);
        }
    }
}
