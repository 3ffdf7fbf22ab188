//! The keys of a record, from which the columns of all are known.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Result;
use crate::source::lines::MOST_COLUMNS;

/// The keys of a record, each with the type of its value.
#[derive(Default)]
pub struct Keys {
    fields: Vec<(String, DataType)>,
    /// Where each of them stands there.
    places: HashMap<String, usize>,
}

impl Keys {
    /// The last of a key counts, as most readers have it.
    fn put(&mut self, key: String, data_type: DataType) {
        match self.places.get(&key) {
            Some(place) => self.fields[*place].1 = data_type,
            None => {
                self.places.insert(key.clone(), self.fields.len());
                self.fields.push((key, data_type));
            }
        }
    }

    /// Columns of these, and of those that are `named`.
    pub fn schema(mut self, named: &[String]) -> SchemaRef {
        for named in named {
            if !self.places.contains_key(named) {
                self.put(named.clone(), DataType::Utf8);
            }
        }
        let fields = self.fields.into_iter().map(|(key, data_type)| Field::new(key, data_type, true));
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
        let mut keys = Keys::default();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            keys.put(key, data_type(value));
            if keys.fields.len() > MOST_COLUMNS {
                return Err(A::Error::custom(format!("the first record has more than {MOST_COLUMNS} keys")));
            }
        }
        Ok(keys)
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
