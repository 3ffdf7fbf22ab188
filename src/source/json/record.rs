//! The texts of a record: under their keys, or in objects along their paths. A key of the whole name goes before a path, and the
//! last of a key counts, as most readers have it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::unplaced;

/// Objects that a path leads through, at most: a name with more dots is a key's. Each is read by itself.
const DEEPEST: usize = 16;

/// What is looked for in records.
pub struct Wanted {
    texts: Vec<ColumnTexts>,
    /// What the texts are that a key leads to.
    places: HashMap<String, Vec<Lead>>,
    /// Keys that no record may have.
    new_names: HashSet<String>,
}

/// The texts of a column. That a text is none is for whoever reads it: a row may go without.
struct ColumnTexts {
    column: usize,
    key: String,
    values: BinaryViewBuilder,
    /// Whether any record had it.
    is_there: bool,
}

/// Where a key leads to.
struct Lead {
    text: usize,
    /// The path from there, if the text is not what stands under the key.
    path: Option<String>,
}

/// A value that leads to a text, and the path from there.
type Found<'a, 'de> = Option<(&'de RawValue, Option<&'a str>)>;

impl Wanted {
    /// Looks for the columns of these numbers under these keys, and for none of the new names.
    pub fn new(columns: Vec<(usize, String)>, new_names: &[String]) -> Self {
        let mut places: HashMap<String, Vec<Lead>> = HashMap::new();
        for (text, (_, key)) in columns.iter().enumerate() {
            places.entry(key.clone()).or_default().push(Lead { text, path: None });
            let dots = key.match_indices('.').filter(|_| key.matches('.').nth(DEEPEST).is_none());
            for (dot, _) in dots {
                let path = Some(key[dot + 1..].to_owned());
                places.entry(key[..dot].to_owned()).or_default().push(Lead { text, path });
            }
        }
        let column = |(column, key)| ColumnTexts { column, key, values: BinaryViewBuilder::new(), is_there: false };
        let texts = columns.into_iter().map(column).collect();
        Self { texts, places, new_names: new_names.iter().cloned().collect() }
    }

    /// Reads a record.
    pub fn read(&mut self, record: &str) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_str(record);
        let found = RecordVisitor(self).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
        let found = found.map_err(|cause| unplaced(&cause))?;
        let values = self.texts.iter().zip(found).map(|(texts, found)| {
            let wrong = |cause| format!("{:?} is no text: {cause}", texts.key);
            let value = match found {
                Some((value, Some(path))) => inside(value, path).map_err(wrong)?,
                found => found.map(|(value, _)| value),
            };
            Ok((value.is_some(), value.map_or(Ok(None), text).map_err(wrong)?))
        });
        let values = values.collect::<Result<Vec<_>, String>>()?;
        for (texts, (is_there, text)) in self.texts.iter_mut().zip(values) {
            texts.values.append_option(text);
            texts.is_there |= is_there;
        }
        Ok(())
    }

    /// A key that no record had.
    pub fn missing(&self) -> Option<&str> {
        self.texts.iter().find(|texts| !texts.is_there).map(|texts| texts.key.as_str())
    }

    /// The texts of the records that were read, and the numbers of their columns.
    pub fn take(&mut self) -> (Vec<usize>, Vec<ArrayRef>) {
        self.texts.iter_mut().map(|texts| (texts.column, Arc::new(texts.values.finish()) as ArrayRef)).unzip()
    }
}

/// What lies in an object along a path. Where there is no object, there is no text.
fn inside<'de>(object: &'de RawValue, path: &str) -> Result<Option<&'de RawValue>, String> {
    if object.get() == "null" {
        return Ok(Some(object));
    }
    let wanted = Wanted::new(vec![(0, path.to_owned())], &[]);
    let mut json = serde_json::Deserializer::from_str(object.get());
    match RecordVisitor(&wanted).deserialize(&mut json).map_err(|cause| unplaced(&cause))?.pop().flatten() {
        Some((value, Some(path))) => inside(value, path),
        found => Ok(found.map(|(value, _)| value)),
    }
}

/// The text that a value is, if it is not null. Its bytes are no UTF-8 where it has half of a surrogate pair.
fn text(value: &RawValue) -> Result<Option<Vec<u8>>, String> {
    if value.get() == "null" {
        return Ok(None);
    }
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_bytes(TextVisitor).map(Some).map_err(|cause| unplaced(&cause))
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<Vec<u8>, E> {
        Ok(text.to_vec())
    }
}

/// The values of a record that lead to each of the texts.
struct RecordVisitor<'a>(&'a Wanted);

impl<'a, 'de> DeserializeSeed<'de> for RecordVisitor<'a> {
    type Value = Vec<Found<'a, 'de>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a, 'de> Visitor<'de> for RecordVisitor<'a> {
    type Value = Vec<Found<'a, 'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Vec<Found<'a, 'de>> = vec![None; self.0.texts.len()];
        while let Some(places) = map.next_key_seed(KeySeed(self.0))? {
            if places.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            for Lead { text, path } in places {
                if path.is_none() || !matches!(found[*text], Some((_, None))) {
                    found[*text] = Some((value, path.as_deref()));
                }
            }
        }
        Ok(found)
    }
}

/// Where a key leads to.
struct KeySeed<'a>(&'a Wanted);

impl<'a, 'de> DeserializeSeed<'de> for KeySeed<'a> {
    type Value = &'a [Lead];

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for KeySeed<'a> {
    type Value = &'a [Lead];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        if self.0.new_names.contains(key) {
            let hint = "choose another name with \"label_column\" or \"confidence_column\", or rename it";
            return Err(E::custom(format!("there is a key {key:?} already; {hint}")));
        }
        Ok(self.0.places.get(key).map(Vec::as_slice).unwrap_or_default())
    }
}
