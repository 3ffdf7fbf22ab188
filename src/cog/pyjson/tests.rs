use super::reader::{MAX_DEPTH, MAX_INTEGER_DIGITS};
use super::*;

/// What stands at the top of `document`, `None` for whatever is no text; an error if it is not JSON.
fn texts(document: &str) -> Result<Vec<Option<String>>, NotJson> {
    let mut texts = Vec::new();
    elements(document, |element| {
        texts.push(match element {
            Element::Text(text) => Some(text.to_owned()),
            Element::LoneSurrogate => Some("<lone surrogate>".to_owned()),
            Element::Other => None,
        });
    })?;
    Ok(texts)
}

#[track_caller]
fn check(document: &str, expected: &[Option<&str>]) {
    let found = texts(document).unwrap_or_else(|_| panic!("{document:?} is JSON"));
    let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, expected, "{document:?}");
}

#[track_caller]
fn refused(document: &str) {
    assert_eq!(texts(document), Err(NotJson), "{document:?}");
}

#[test]
fn a_list_of_strings() {
    check(r#"["one", "two"]"#, &[Some("one"), Some("two")]);
    check(" \n\t\r[ \"one\" , \"two\" ] \n", &[Some("one"), Some("two")]);
    check("[]", &[]);
    check("[ ]", &[]);
}

#[test]
fn another_value_is_a_list_of_one() {
    check(r#""one""#, &[Some("one")]);
    for document in ["42", "null", r#"{"a": "b"}"#, "-0.5e-7", "{}"] {
        check(document, &[None]);
    }
}

#[test]
fn elements_that_are_not_strings() {
    let document = r#"[1, 2.5, null, true, false, {"a": 1, "a": [{}]}, ["x", []], "fine"]"#;
    let mut expected = vec![None; 7];
    expected.push(Some("fine"));
    check(document, &expected);
}

#[test]
fn numbers() {
    check("[0, -0, 10, 1.0, 1e5, 1E+5, 1e-5, 0.0e0, -1e999, NaN, Infinity, -Infinity]", &[None; 12]);
    for number in
        ["01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "--1", "nan", "-NaN", "+Infinity", "Inf", "1_000", "\u{663}"]
    {
        refused(number);
        refused(&format!("[{number}]"));
    }
}

#[test]
fn integers_have_a_limit_and_floats_have_none() {
    let digits = "9".repeat(MAX_INTEGER_DIGITS);
    check(&digits, &[None]);
    check(&format!("-{digits}"), &[None]);
    refused(&format!("{digits}9"));
    refused(&format!("[{{\"deep\": -{digits}9}}]"));
    check(&format!("{digits}9.5"), &[None]);
    check(&format!("{digits}9e1"), &[None]);
}

#[test]
fn nesting_has_a_limit() {
    let lists = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&lists(MAX_DEPTH), &[None]);
    refused(&lists(MAX_DEPTH + 1));
    refused(&lists(100_000));
    let objects = |depth| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    check(&objects(MAX_DEPTH), &[None]);
    refused(&objects(MAX_DEPTH + 1));
    refused(&"[".repeat(100_000));
}

#[test]
fn escapes() {
    check(r#""\"\\\/\b\f\n\r\t\u0041\u00e9""#, &[Some("\"\\/\u{8}\u{c}\n\r\tA\u{e9}")]);
    check(r#""a\ud83d\ude0db""#, &[Some("a\u{1f60d}b")]);
    check(r#""\uD83D\uDE0D""#, &[Some("\u{1f60d}")]);
    for document in [
        r#""\x41""#,
        r#""\u12""#,
        r#""\u+123""#,
        r#""\u 123""#,
        r#""\u123g""#,
        r#""\U0041""#,
        r#""\"#,
        r#""\u00"#,
        "\"\\\u{e9}\"",
        "\"\\u\u{e9}\u{e9}\"",
        r#""\ud83d\u12""#,
    ] {
        refused(document);
    }
}

#[test]
fn lone_surrogates() {
    for document in [
        r#""\ud800 broken""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800\udc00""#,
        r#""\udc00""#,
        r#""\udc00\ud800""#,
        r#""\ud800\n""#,
        r#""\ud800""#,
    ] {
        check(document, &[Some("<lone surrogate>")]);
    }
    check(r#"[["\ud800"], {"\ud800": "\ud800"}]"#, &[None, None]);
}

#[test]
fn what_is_not_json() {
    for document in [
        "",
        " ",
        "I love this",
        "['one']",
        r#"["one",]"#,
        r#"["one" "two"]"#,
        "[,]",
        "[",
        "]",
        "[1",
        r#"{"a": 1,}"#,
        r#"{"a"}"#,
        r#"{"a" 1}"#,
        "{1: 2}",
        "{a: 1}",
        "{,}",
        "{",
        r#"{"a":"#,
        "\u{feff}[]",
        "[]\u{feff}",
        "[]\u{a0}",
        "\u{c}[]",
        "[1] 2",
        "nul",
        "nulll",
        "tru",
        "[nullx]",
        "\"open",
        "\"tab\tinside\"",
        "\"line\ninside\"",
        "\"nul\0inside\"",
        "\"last\u{1f}inside\"",
        "// no\n[]",
        "None",
        "True",
    ] {
        refused(document);
    }
    check("\"\u{7f}\u{85}\u{2028}\"", &[Some("\u{7f}\u{85}\u{2028}")]);
}
