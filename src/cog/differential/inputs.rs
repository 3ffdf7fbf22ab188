//! Inputs made to be awkward, the same ones every time.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// All of them: `random` ones, and some at Python's limits.
pub(super) fn generate(random: usize) -> Vec<String> {
    let mut inputs = long_inputs();
    let mut source = Random(20_261_124);
    inputs.extend((0..random).map(|_| awkward_input(&mut source)));
    inputs
}

/// Texts to start from: one of each thing that the two could see differently.
const SEEDS: &[&str] = &[
    r#"["I love apple", "I hate apple"]"#,
    r#"[1, 2.5, null, true, false, {"a": 1, "a": [2]}, ["x", []], "fine"]"#,
    "[NaN, Infinity, -Infinity, -0, 0.0, 1e5, 1E-5, -1.5e+10, 1e999]",
    r#"["", " ", "\t\n", "\u3000", "\u00a0\u2003", "\u001c\u001f", "\u200b", "ok"]"#,
    r#"["\ud83d\ude0d", "\u00e9\"\\\/\b\f\n\r\t", "e\u0301"]"#,
    r#"["fine", "\ud800 broken", {"\ud800": "\udc00"}]"#,
    r#"{"texts": ["a", "b"], "nested": {"c": [{}], "d": ""}}"#,
    r#"["one", ["two", ["three", [[], {}]]]]"#,
    r#"[[["\ud800"]], {"a": {"b": "\udfff"}}, "\ud83d\u0041", "\ud800\udc00"]"#,
    "\u{feff}[\"bom\"]",
    "  \n [\"white space\"] \t ",
    "\u{a0}[\"other white space\"]\u{85}",
    "I love this",
    "\"a string\"",
    "['single', 'quotes']",
    "[\"trailing\",]",
    "[\"caf\u{e9} \u{1f60d} \u{975e}\u{5e38}\", \"\u{2028}\u{85}\u{7f}\"]",
    "[\"raw\tcontrol\", \"nul\0\"]",
    "\u{1c}\u{2003}\u{85}\u{3000}",
    "-",
    "[]",
    "{}",
    "",
    "null",
    "[[]]",
    "\"\"",
    "[\"\\",
];

/// Pieces to put in where they may hurt.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    " ",
    "\n",
    "-",
    "+",
    ".",
    "0",
    "1",
    "e",
    "E",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude0d",
    "\\u00",
    "\\x",
    "\\n",
    "NaN",
    "Infinity",
    "null",
    "true",
    "\u{1c}",
    "\u{1f}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\r",
    "\u{85}",
    "\u{200b}",
    "\u{feff}",
    "\u{e9}",
    "\0",
    "\t",
    "\u{663}",
    "\"a\":",
    "\"\",",
    "=",
    "/",
    "//",
    "'",
];

/// Inputs at Python's limits on digits and depth. The exact depth depends on who calls `json.loads`, so not quite
/// there.
fn long_inputs() -> Vec<String> {
    let mut inputs = Vec::new();
    for digits in [4299, 4300, 4301, 10_000] {
        let digits = "7".repeat(digits);
        for number in [digits.clone(), format!("-{digits}"), format!("{digits}.0"), format!("{digits}e2")] {
            inputs.push(format!("[\"a\", {number}]"));
            inputs.push(number);
        }
    }
    for depth in [100, 980, 1010, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = depth / open.matches(['[', '{']).count();
            inputs.push(format!("{}\"x\"{}", open.repeat(levels), close.repeat(levels)));
        }
    }
    inputs
}

fn awkward_input(random: &mut Random) -> String {
    let mut document = random.choice(SEEDS).to_owned();
    for _ in 0..random.below(4) {
        mutate(&mut document, random);
    }
    match random.below(3) {
        0 => data_uri(document.into_bytes(), random),
        _ => document,
    }
}

fn mutate(document: &mut String, random: &mut Random) {
    let at = |random: &mut Random, document: &str| document.floor_char_boundary(random.below(document.len() + 1));
    let (from, to) = (at(random, document), at(random, document));
    let (from, to) = (from.min(to), from.max(to));
    match random.below(6) {
        0 => document.replace_range(from..to, ""),
        1 => {
            let slice = document[from..to].to_owned();
            document.insert_str(from, &slice);
        }
        2 => document.truncate(to),
        3 => *document = format!("[{document}, {}]", random.choice(SEEDS)),
        _ => document.insert_str(from, random.choice(PIECES)),
    }
}

/// A JSON file's address, damaged more often than not: before, in or after the encoding.
fn data_uri(mut document: Vec<u8>, random: &mut Random) -> String {
    if random.below(2) == 0 {
        let at = random.below(document.len() + 1);
        let bytes = [0xff, 0x80, 0xc3, 0xe2, 0xed, 0xa0, 0xf0, 0x90, 0xf4, 0xc0];
        for _ in 0..=random.below(3) {
            document.insert(at, bytes[random.below(bytes.len())]);
        }
        document.truncate(document.len() - random.below(2).min(document.len()));
    }
    let mut encoded = BASE64_STANDARD.encode(document);
    for _ in 0..random.below(3) {
        let at = random.below(encoded.len() + 1);
        match random.below(4) {
            0 => encoded.truncate(at),
            1 if at < encoded.len() => drop(encoded.remove(at)),
            _ => encoded.insert(at, random.choice(&['=', '\n', 'A', '-', '!', '/', '\0', ' '])),
        }
    }
    if random.below(20) == 0 {
        encoded.push('\u{e9}');
    }
    format!("data:application/json;base64,{encoded}")
}

/// `SplitMix64`: the same inputs every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).map_or(0, |number| number % bound)
    }

    fn choice<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
