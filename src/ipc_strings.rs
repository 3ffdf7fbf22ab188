//! Strings of an Arrow schema that are not UTF-8. Arrow's format wants text there, some of its writers do not check, and its
//! reader here says at which byte of the message it stopped, which tells nobody what to mend.

use std::ops::Range;

use arrow::ipc::{self, Field, KeyValue, Schema};
use flatbuffers::{ErrorTraceDetail, ForwardsUOffset, InvalidFlatbuffer, Vector};

use crate::{Error, Result};

/// How many such strings of one header are looked past, to name what is around the first: each asks for another look at all of it.
const MOST: usize = 256;

/// Bytes of a header in which that takes no time.
const LARGEST: usize = 64 * 1024;

/// Bytes of such a string that an error shows, from its beginning.
const SHOWN: usize = 64;

/// Fails if the header of a message has a string that is not UTF-8.
///
/// # Errors
/// [`Error::Invalid`] that names the field and the key.
pub fn check(header: &[u8]) -> Result<()> {
    let Err(InvalidFlatbuffer::Utf8Error { range, error_trace, .. }) = ipc::root_as_message(header) else {
        return Ok(());
    };
    let bytes = header.get(range.clone()).unwrap_or_default();
    let bytes = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    let around = blanked(header, range);
    let schema = around.as_deref().and_then(|header| ipc::root_as_message(header).ok()?.header_as_schema());
    let place = schema.and_then(|schema| Place::at(error_trace.as_ref(), schema));
    Err(Error::Invalid(place.map_or_else(
        || format!("a message's header has a string that is not UTF-8: b\"{bytes}\""),
        |place| place.explain(&bytes),
    )))
}

/// The header with question marks in place of such strings.
fn blanked(header: &[u8], mut range: Range<usize>) -> Option<Vec<u8>> {
    if header.len() > LARGEST {
        return None;
    }
    let mut header = header.to_vec();
    for _ in 0..MOST {
        header.get_mut(range)?.fill(b'?');
        match ipc::root_as_message(&header) {
            Err(InvalidFlatbuffer::Utf8Error { range: next, .. }) => range = next,
            other => return other.is_ok().then_some(header),
        }
    }
    None
}

/// Where such a string is.
struct Place {
    /// The field's name with those around it; none: the schema itself.
    field: Option<String>,
    what: What,
}

enum What {
    /// The field's own name.
    Name,
    /// A key of its metadata.
    Key,
    /// What its metadata has under this key.
    Value(String),
    /// What else its type says, such as a time zone.
    Type(String),
}

type Fields<'a> = Option<Vector<'a, ForwardsUOffset<Field<'a>>>>;
type Metadata<'a> = Option<Vector<'a, ForwardsUOffset<KeyValue<'a>>>>;

impl Place {
    /// `trace` leads to it from the inside out.
    fn at(trace: &[ErrorTraceDetail], schema: Schema<'_>) -> Option<Self> {
        let (mut fields, mut metadata, mut field): (Fields<'_>, Metadata<'_>, Option<String>) =
            (schema.fields(), schema.custom_metadata(), None);
        let mut steps = trace.iter().rev().filter_map(|step| match step {
            ErrorTraceDetail::VectorElement { index, .. } => Some(Step::Number(*index)),
            ErrorTraceDetail::TableField { field_name, .. } => Some(Step::Name(field_name)),
            ErrorTraceDetail::UnionVariant { .. } => None,
        });
        while let Some(step) = steps.next() {
            match step {
                Step::Name("fields" | "children") => {
                    let Some(Step::Number(number)) = steps.next() else { return None };
                    let inner = fields.filter(|fields| number < fields.len())?.get(number);
                    let name = inner.name().unwrap_or_default();
                    field = Some(field.map_or_else(|| name.to_owned(), |outer| format!("{outer}.{name}")));
                    (fields, metadata) = (inner.children(), inner.custom_metadata());
                }
                Step::Name("custom_metadata") => {
                    let Some(Step::Number(number)) = steps.next() else { return None };
                    let entry = metadata.filter(|metadata| number < metadata.len())?.get(number);
                    let is_key = matches!(steps.next(), Some(Step::Name("key")));
                    let what = if is_key { What::Key } else { What::Value(entry.key().unwrap_or_default().to_owned()) };
                    return Some(Self { field, what });
                }
                Step::Name("name") => return Some(Self { field, what: What::Name }),
                Step::Name("header" | "type_") | Step::Number(_) => {}
                Step::Name(other) => return Some(Self { field, what: What::Type(other.to_owned()) }),
            }
        }
        None
    }

    fn explain(&self, bytes: &str) -> String {
        let field = self.field.as_ref().map_or_else(|| "the schema".to_owned(), |name| format!("field {name:?}"));
        let remedy = "Arrow has text alone there: leave it out, in Python with remove_metadata(), or write it as text, \
                      such as base64";
        match &self.what {
            What::Name => format!("the name of {field} is not UTF-8: b\"{bytes}\"; rename it"),
            What::Key => format!("a key in the metadata of {field} is not UTF-8: b\"{bytes}\"; {remedy}"),
            What::Value(key) => {
                format!("the metadata of {field} has under the key {key:?} what is not UTF-8: b\"{bytes}\"; {remedy}")
            }
            What::Type(what) => format!("the {what} of {field} is not UTF-8: b\"{bytes}\""),
        }
    }
}

enum Step<'a> {
    Name(&'a str),
    Number(usize),
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};

    use super::*;

    /// What is said of a schema whose every `MARK` is replaced by bytes that are no UTF-8.
    fn said(schema: &Schema) -> String {
        let mut tracker = DictionaryTracker::new(false);
        let options = IpcWriteOptions::default();
        let encoded =
            IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
        let mut header = encoded.ipc_message;
        check(&header).unwrap();
        let marks: Vec<_> = header.windows(4).enumerate().filter(|(_, w)| *w == b"MARK").map(|(at, _)| at).collect();
        for at in marks {
            header[at..at + 4].copy_from_slice(b"\xff\xfeAB");
        }
        check(&header).unwrap_err().to_string()
    }

    fn metadata(key: &str, value: &str) -> HashMap<String, String> {
        HashMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_field_and_the_key_are_named() {
        let inner = Field::new("inner", DataType::Int8, true);
        let field = |inner: Field| Field::new("outer", DataType::Struct(vec![Arc::new(inner)].into()), true);
        let schema = |field: Field| Schema::new(vec![Field::new("text", DataType::Utf8, true), field]);
        let remedy = "Arrow has text alone there: leave it out, in Python with remove_metadata(), or write it as text, such as base64";
        for (schema, expected) in [
            (
                schema(inner.clone()).with_metadata(metadata("k", "MARK")),
                format!(
                    "the metadata of the schema has under the key \"k\" what is not UTF-8: b\"\\xff\\xfeAB\"; {remedy}"
                ),
            ),
            (
                schema(inner.clone()).with_metadata(metadata("MARK", "v")),
                format!("a key in the metadata of the schema is not UTF-8: b\"\\xff\\xfeAB\"; {remedy}"),
            ),
            (
                schema(field(inner.clone().with_metadata(metadata("k", "MARK")))),
                format!(
                    "the metadata of field \"outer.inner\" has under the key \"k\" what is not UTF-8: \
                     b\"\\xff\\xfeAB\"; {remedy}"
                ),
            ),
            (
                schema(field(inner.clone())).with_metadata(metadata("MARK", "MARK")),
                format!("a key in the metadata of the schema is not UTF-8: b\"\\xff\\xfeAB\"; {remedy}"),
            ),
            (
                schema(Field::new("a MARK", DataType::Int8, true)),
                "the name of field \"??????\" is not UTF-8: b\"a \\xff\\xfeAB\"; rename it".to_owned(),
            ),
            (
                schema(Field::new("at", DataType::Timestamp(TimeUnit::Second, Some("MARK".into())), true)),
                "the timezone of field \"at\" is not UTF-8: b\"\\xff\\xfeAB\"".to_owned(),
            ),
        ] {
            assert_eq!(said(&schema), expected);
        }
    }

    #[test]
    fn a_flood_of_such_strings_is_not_looked_through() {
        let fields: Vec<_> = (0..2000).map(|i| Field::new(format!("{i} MARK"), DataType::Int8, true)).collect();
        let flood = said(&Schema::new(fields));
        let fields =
            (0..2000).map(|i| Field::new(if i == 0 { "MARK".to_owned() } else { i.to_string() }, DataType::Int8, true));
        let large = said(&Schema::new(fields.collect::<Vec<_>>()));
        for said in [flood, large] {
            assert!(said.starts_with("a message's header has a string that is not UTF-8: b\""), "{said}");
        }
    }

    #[test]
    fn of_a_long_string_the_beginning_is_shown() {
        let long = "MARK".repeat(100_000);
        let shown = "\\xff\\xfeAB".repeat(SHOWN / 4);
        let inner = Field::new("inner", DataType::Int8, true);
        for schema in [
            Schema::new(vec![Field::new(&long, DataType::Int8, true)]),
            Schema::new(vec![inner.clone()]).with_metadata(metadata(&long, "v")),
            Schema::new(vec![inner]).with_metadata(metadata("k", &long)),
        ] {
            assert_eq!(said(&schema), format!("a message's header has a string that is not UTF-8: b\"{shown}\""));
        }
    }

    #[test]
    fn what_is_broken_otherwise_is_left_to_arrow() {
        for header in [&b""[..], b"\0", b"this is not a flatbuffer", &[0xff; 64]] {
            check(header).unwrap();
        }
    }
}
