//! The keys of a record, from which the columns of all are known.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Result;

/// The keys of a record, each with the type of its value.
pub struct Keys(Vec<(String, DataType)>);

impl Keys {
    /// Columns of these, and of those that are `named`.
    pub fn schema(self, named: &[String]) -> SchemaRef {
        let mut keys: Vec<(String, DataType)> = Vec::new();
        for (key, data_type) in self.0 {
            // The last of a key counts, as most readers have it.
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = data_type,
                None => keys.push((key, data_type)),
            }
        }
        for named in named {
            if keys.iter().all(|(key, _)| key != named) {
                keys.push((named.clone(), DataType::Utf8));
            }
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
