//! JSON as Python's `json.loads` reads it, as far as the predictor looks: is it valid, and what are the strings at the
//! top.
//!
//! `serde_json` and Python disagree on which documents are valid (`NaN`, huge integers, deep nesting, lone surrogates),
//! and here validity decides what is scored. So this reads over a document once and builds no values.

mod escape;
mod reader;

use reader::Reader;

/// The document is not JSON for Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// One element of the list at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    /// A string, escapes resolved.
    Text(&'a str),
    /// A string with a lone surrogate: Python reads it, but no Unicode text is equal to it.
    LoneSurrogate,
    /// Anything but a string.
    Other,
}

/// Calls `visit` for each element of the list that `document` holds; any other value counts as a list of one.
///
/// Whether the document is valid is known only at its end: on an error, what was visited must be forgotten.
pub fn elements(document: &str, mut visit: impl FnMut(Element<'_>)) -> Result<(), NotJson> {
    let mut reader = Reader::new(document);
    let mut scratch = String::new();
    reader.skip_white_space();
    if reader.peek() == Some(b'[') {
        reader.list(1, &mut |reader| element(reader, 1, &mut scratch, &mut visit))?;
    } else {
        element(&mut reader, 0, &mut scratch, &mut visit)?;
    }
    reader.skip_white_space();
    match reader.peek() {
        None => Ok(()),
        Some(_) => Err(NotJson),
    }
}

/// Reads one value inside of `depth` open lists; `scratch` takes strings that are not written as they read.
fn element(
    reader: &mut Reader<'_>,
    depth: usize,
    scratch: &mut String,
    visit: &mut impl FnMut(Element<'_>),
) -> Result<(), NotJson> {
    if reader.peek() != Some(b'"') {
        reader.skip_value(depth)?;
        visit(Element::Other);
        return Ok(());
    }
    let raw = reader.string()?;
    if !raw.contains('\\') {
        visit(Element::Text(raw));
        return Ok(());
    }
    scratch.clear();
    match escape::resolve(raw, scratch) {
        Some(()) => visit(Element::Text(scratch)),
        None => visit(Element::LoneSurrogate),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
