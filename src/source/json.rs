//! JSON lines: an object a line. Which keys there are is said by the first; one that a line does not have is null there. Blank
//! lines are no records.

use std::fmt;
use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::lines::{Block, LineDecoder, Lines, Pending, too_long};
use crate::{Error, Result};

/// What some writers put before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON lines.
pub struct JsonDecoder {
    pending: Pending,
    /// The column that is a text whether or not the first line has it.
    named: Option<String>,
    schema: Option<SchemaRef>,
    wanted: Option<Wanted>,
    texts: StringViewBuilder,
    /// Where the current line begins, and its number, counted from 1.
    start: usize,
    line: u64,
    is_ended: bool,
    /// Whether any record had a text's key, and whether there was any.
    has_text: bool,
    has_record: bool,
}

/// What is looked for in a record.
struct Wanted {
    text: String,
    new_names: Vec<String>,
}

impl JsonDecoder {
    /// Reads objects whose texts are under the key `text`, if one is named.
    pub fn new(text: Option<&str>) -> Self {
        Self {
            pending: Pending::default(),
            named: text.map(str::to_owned),
            schema: None,
            wanted: None,
            texts: StringViewBuilder::new(),
            start: 0,
            line: 1,
            is_ended: false,
            has_text: false,
            has_record: false,
        }
    }

    fn read(&mut self) -> Result<()> {
        while let Some(end) = self.line_end() {
            let from = if self.line == 1 && self.pending.bytes.starts_with(MARK) { MARK.len() } else { self.start };
            let is_blank = self.pending.bytes[from..end].trim_ascii().is_empty();
            if !is_blank && !self.record(from, end)? {
                // The first record is read again once it is said what of it is wanted.
                return Ok(());
            }
            (self.start, self.pending.at, self.pending.whole) = (end, end, end);
            self.line += 1;
        }
        self.pending.at = self.pending.bytes.len();
        if self.pending.is_too_long() {
            return Err(too_long(self.line, ": JSON lines have an object a line"));
        }
        Ok(())
    }

    /// Where the current line ends, if it has come whole.
    fn line_end(&self) -> Option<usize> {
        let bytes = &self.pending.bytes;
        let at = self.pending.at.max(self.start);
        let end = bytes[at..].iter().position(|byte| *byte == b'\n').map(|found| at + found + 1);
        end.or_else(|| (self.is_ended && self.start < bytes.len()).then_some(bytes.len()))
    }

    /// Reads a record; false as long as nobody has said what of it is wanted.
    fn record(&mut self, start: usize, end: usize) -> Result<bool> {
        let line = self.line;
        let wrong = |cause: &dyn fmt::Display| Error::Invalid(format!("line {line}: {cause}"));
        let text = str::from_utf8(&self.pending.bytes[start..end]).map_err(|cause| wrong(&cause))?;
        let text = text.trim_ascii_end();
        if !text.trim_ascii_start().starts_with('{') {
            return Err(wrong(&"not an object; JSON lines have an object a line"));
        }
        let Some(wanted) = &self.wanted else {
            let keys: Keys = serde_json::from_str(text).map_err(|cause| wrong(&unplaced(&cause)))?;
            self.schema = Some(keys.schema(self.named.as_deref()));
            return Ok(false);
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let found = wanted.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
        let found = found.map_err(|cause| wrong(&unplaced(&cause)))?;
        if let Some(Some(value)) = found {
            let read = serde_json::from_str::<Option<String>>(value.get());
            let key = &wanted.text;
            let text = read.map_err(|cause| wrong(&format!("{key:?} is no text: {}", unplaced(&cause))))?;
            self.texts.append_option(text);
        } else {
            self.texts.append_null();
        }
        self.has_record = true;
        self.has_text |= found.is_some();
        self.pending.ends.push(start + text.len() - 1);
        Ok(true)
    }
}

impl LineDecoder for JsonDecoder {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.bytes.extend_from_slice(bytes);
        self.read()
    }

    fn end(&mut self) -> Result<()> {
        self.is_ended = true;
        self.read()?;
        match &self.wanted {
            // It may be a slip of the pen, and the answer would be nulls throughout.
            Some(wanted) if self.has_record && !self.has_text => {
                let keys = self.schema.iter().flat_map(|schema| schema.fields().iter());
                let keys: Vec<_> =
                    keys.map(|field| field.name().as_str()).filter(|name| *name != wanted.text).collect();
                let keys = keys.join(", ");
                Err(Error::Invalid(format!("no line has a key {:?}; keys of the first: {keys}", wanted.text)))
            }
            _ => Ok(()),
        }
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    fn begin(&mut self, text: usize, new_names: &[String]) -> Result<Lines> {
        let text = self.schema.as_ref().map(|schema| schema.field(text).name().clone());
        self.wanted = text.map(|text| Wanted { text, new_names: new_names.to_vec() });
        if self.is_ended {
            self.end()?
        } else {
            self.read()?
        }
        Ok(Lines::default())
    }

    fn take(&mut self) -> Option<Block> {
        let texts = (self.pending.whole > 0).then(|| self.texts.finish())?;
        let (lines, len) = self.pending.take();
        self.start -= len;
        Some(Block { lines, texts })
    }

    fn waiting(&self) -> usize {
        self.pending.waiting()
    }
}

/// What is wrong and in which column, without the line: every record is the first.
fn unplaced(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if cause.column() > 0 => format!("{what} (column {})", cause.column()),
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

/// The keys of a record, each with the type of its value.
struct Keys(Vec<(String, DataType)>);

impl Keys {
    /// Columns of these, and one for the text that is `named`, wherever that is.
    fn schema(self, named: Option<&str>) -> SchemaRef {
        let mut keys: Vec<(String, DataType)> = Vec::new();
        for (key, data_type) in self.0 {
            // The last of a key counts, as most readers have it.
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = data_type,
                None => keys.push((key, data_type)),
            }
        }
        if let Some(named) = named.filter(|named| keys.iter().all(|(key, _)| key != named)) {
            keys.push((named.to_owned(), DataType::Utf8));
        }
        let fields = keys.into_iter().map(|(key, data_type)| Field::new(key, data_type, true));
        Arc::new(Schema::new(fields.collect::<Fields>()))
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            keys.push((key, data_type(value)));
        }
        Ok(Keys(keys))
    }
}

/// As Arrow calls it, by its first letter.
fn data_type(value: &RawValue) -> DataType {
    match value.get().as_bytes().first() {
        Some(b'"') => DataType::Utf8,
        Some(b't' | b'f') => DataType::Boolean,
        Some(b'n') => DataType::Null,
        Some(b'{') => DataType::Struct(Fields::empty()),
        Some(b'[') => DataType::List(Arc::new(Field::new("item", DataType::Null, true))),
        _ => DataType::Float64,
    }
}

/// The text of a record: none where the key is not there, and within that none where it is null.
impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Option<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &Wanted {
    type Value = Option<Option<&'de RawValue>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(KeySeed(self))? {
            if key == Key::Text {
                let value: &RawValue = map.next_value()?;
                found = Some(Some(value).filter(|value| value.get() != "null"));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// What a key is to us.
#[derive(PartialEq)]
enum Key {
    Text,
    Other,
}

struct KeySeed<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
        if self.0.new_names.iter().any(|name| name == key) {
            let hint = "choose another name with \"label_column\" or \"confidence_column\", or rename it";
            return Err(E::custom(format!("there is a key {key:?} already; {hint}")));
        }
        Ok(if key == self.0.text { Key::Text } else { Key::Other })
    }
}

#[cfg(test)]
mod tests;
