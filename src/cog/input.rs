//! What the predictor makes of its input: one string in, the texts to score out.

use std::borrow::Cow;

use arrow::array::{StringViewArray, StringViewBuilder};

use super::base64::{self, Base64Error};
use super::pyjson::{self, Element};
use crate::classifier::{EMPTY_TEXT, is_blank};

/// Only this exact beginning makes an input a file; any other `data:` address is a text like any other.
const JSON_FILE: &str = "data:application/json;base64,";

/// An input that fails its prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The data behind the prefix is not base64.
    #[error("`texts` begins with `{JSON_FILE}`, but what follows is not base64: {0}")]
    Base64(Base64Error),
    /// The decoded data is not text. Holds what Python says of it.
    #[error("`texts` begins with `{JSON_FILE}`, but what follows is not UTF-8: {0}")]
    Utf8(String),
    /// A text that is not Unicode.
    #[error(
        "element {0} of `texts` holds half of a surrogate pair, which is no character: write both \\u escapes or neither"
    )]
    LoneSurrogate(usize),
}

impl InputError {
    /// The exception that ended the prediction in the original, as its clients know it.
    pub fn exception(&self) -> String {
        match self {
            Self::Base64(error) => error.to_string(),
            Self::Utf8(error) => format!("UnicodeDecodeError: {error}"),
            // The tokenizer raises it, for whichever element it is.
            Self::LoneSurrogate(_) => "TypeError: TextEncodeInput must be \
                Union[TextInputSequence, Tuple[InputSequence, InputSequence]]"
                .to_owned(),
        }
    }
}

/// The texts of the input `texts`.
#[cfg(test)]
pub fn read(input: &str) -> Result<StringViewArray, InputError> {
    let document = document(input)?;
    let texts = texts(&document)?;
    assert!(texts.iter().len() <= most_texts(&document), "{input:?}");
    Ok(texts)
}

/// How many texts a document can hold at most, told without reading it as JSON.
pub fn most_texts(document: &str) -> usize {
    document.bytes().filter(|byte| *byte == b',').count() + 1
}

/// The texts of a document. There is one text for each element of a JSON list, and one for anything else; none is null or
/// blank.
///
/// # Errors
/// [`InputError::LoneSurrogate`] for a text that is not Unicode.
pub fn texts(document: &str) -> Result<StringViewArray, InputError> {
    let mut builder = StringViewBuilder::new();
    let mut count = 0;
    let mut first_broken = None;
    let is_json = pyjson::elements(document, |element| {
        match element {
            Element::Text(text) => builder.append_value(unless_blank(text)),
            Element::Other => builder.append_value(EMPTY_TEXT),
            Element::LoneSurrogate => first_broken = first_broken.or(Some(count)),
        }
        count += 1;
    });
    match (is_json, first_broken) {
        (Ok(()), None) => Ok(builder.finish()),
        (Ok(()), Some(index)) => Err(InputError::LoneSurrogate(index)),
        (Err(_), _) => Ok(StringViewArray::from_iter_values([unless_blank(document)])),
    }
}

/// The document that the input `texts` carries: itself, or the content of a JSON file.
///
/// # Errors
/// [`InputError::Base64`] and [`InputError::Utf8`] for a file that is none.
pub fn document(texts: &str) -> Result<Cow<'_, str>, InputError> {
    let Some(encoded) = texts.strip_prefix(JSON_FILE) else {
        return Ok(Cow::Borrowed(texts));
    };
    let bytes = base64::decode(encoded).map_err(InputError::Base64)?;
    match String::from_utf8(bytes) {
        Ok(document) => Ok(Cow::Owned(document)),
        Err(error) => Err(InputError::Utf8(decode_error(error.as_bytes(), error.utf8_error()))),
    }
}

/// The document that an uploaded file is. Some editors put a mark of the byte order in front, which is no part of it.
///
/// # Errors
/// [`InputError::Utf8`] for a file that is none.
pub fn file(content: &[u8]) -> Result<Cow<'_, str>, InputError> {
    let document = str::from_utf8(content).map_err(|error| InputError::Utf8(decode_error(content, error)))?;
    Ok(Cow::Borrowed(document.strip_prefix('\u{feff}').unwrap_or(document)))
}

fn unless_blank(text: &str) -> &str {
    if is_blank(text) { EMPTY_TEXT } else { text }
}

/// What Python's `UnicodeDecodeError` says where Rust says `error` of `bytes`.
fn decode_error(bytes: &[u8], error: std::str::Utf8Error) -> String {
    let start = error.valid_up_to();
    let end = error.error_len().map_or(bytes.len(), |len| start + len);
    let wrong = bytes.get(start..end).unwrap_or_default();
    let reason = match (error.error_len(), wrong) {
        (None, _) => "unexpected end of data",
        (Some(_), [0xc2..=0xf4, ..]) => "invalid continuation byte",
        (Some(_), _) => "invalid start byte",
    };
    match wrong {
        [byte] => {
            format!("'utf-8' codec can't decode byte {byte:#04x} in position {start}: {reason}")
        }
        _ => format!(
            "'utf-8' codec can't decode bytes in position {start}-{last}: {reason}",
            last = end.saturating_sub(1)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &[&str]) {
        let texts = read(input).unwrap_or_else(|error| panic!("{input:?}: {error}"));
        let texts: Vec<&str> = texts.iter().map(Option::unwrap_or_default).collect();
        assert_eq!(texts, expected, "{input:?}");
    }

    #[track_caller]
    fn check_failure(input: &str, exception: &str) {
        let error = read(input).expect_err(input);
        assert_eq!(error.exception(), exception, "{input:?}");
    }

    #[test]
    fn lists_and_plain_texts() {
        check(r#"["I love apple", "I hate apple"]"#, &["I love apple", "I hate apple"]);
        check("[]", &[]);
        check("I love this", &["I love this"]);
        check(r#""I love this""#, &["I love this"]);
        check(r#"["I love apple",]"#, &[r#"["I love apple",]"#]);
        check("\u{feff}[]", &["\u{feff}[]"]);
        check("  not JSON ", &["  not JSON "]);
    }

    #[test]
    fn what_counts_as_empty() {
        check("", &[EMPTY_TEXT]);
        check("  \u{3000}", &[EMPTY_TEXT]);
        check("42", &[EMPTY_TEXT]);
        check(
            r#"[1, null, {"a": "b"}, ["x"], "", " \t\u001c", "\u200b", "ok"]"#,
            &[EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, "\u{200b}", "ok"],
        );
    }

    #[test]
    fn a_json_file() {
        check("data:application/json;base64,WyJJIGhhdGUgYXBwbGUiXQ==", &["I hate apple"]);
        check("data:application/json;base64,SSBsb3ZlIGFwcGxl", &["I love apple"]);
        check("data:application/json;base64,!!!!", &[EMPTY_TEXT]);
        check("data:application/json;base64,", &[EMPTY_TEXT]);
        for literal in [
            "DATA:application/json;base64,WyJhIl0=",
            "data:text/plain;base64,WyJhIl0=",
            "data:application/json;charset=utf-8;base64,WyJhIl0=",
            " data:application/json;base64,WyJhIl0=",
        ] {
            check(literal, &[literal]);
        }
    }

    #[test]
    fn inputs_that_fail() {
        check_failure("data:application/json;base64,WyJhIl0", "Error: Incorrect padding");
        check_failure(
            "data:application/json;base64,\u{e9}",
            "ValueError: string argument should contain only ASCII characters",
        );
        check_failure(
            "data:application/json;base64,YWL/",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
        );
        check_failure(
            "data:application/json;base64,4oI=",
            "UnicodeDecodeError: 'utf-8' codec can't decode bytes in position 0-1: unexpected end of data",
        );
        check_failure(
            r#"["fine", "\ud800 broken"]"#,
            "TypeError: TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]",
        );
    }

    #[test]
    fn our_own_words_name_the_element() {
        let error = read(r#"["fine", "\ud800 broken", "\udc00"]"#).expect_err("a lone surrogate");
        assert_eq!(error, InputError::LoneSurrogate(1));
        assert!(error.to_string().starts_with("element 1 of `texts` holds half"));
    }

    #[test]
    fn a_lone_surrogate_matters_only_in_a_text() {
        check(r#"[["\ud800"]]"#, &[EMPTY_TEXT]);
        check(r#"["\ud800",]"#, &[r#"["\ud800",]"#]);
    }
}
