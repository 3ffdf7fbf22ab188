//! Values that are looked for in records: under their keys, or in objects along their paths. A key of the whole name goes before a
//! path, and the last of a key counts, as most readers have it. All else in a record is passed over.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::unplaced;

/// Objects that a path leads through, at most: a name with more dots is a key's. Each is read by itself.
const DEEPEST: usize = 16;

/// What is looked for in records.
pub struct Sought {
    count: usize,
    /// What a key leads to.
    leads: HashMap<String, Vec<Lead>>,
    others: Others,
}

/// Keys that are not looked for.
pub enum Others {
    /// Nobody minds.
    Any,
    /// No record may have these.
    NoneOf(HashSet<String>),
    /// No record may have any.
    None,
}

/// Where a key leads to.
struct Lead {
    /// The number of what is looked for.
    number: usize,
    /// The path from there, if that is not what stands under the key.
    path: Option<String>,
}

/// A value that leads to what is looked for, and the path from there.
#[derive(Clone, Copy)]
pub struct Found<'a, 'de> {
    value: &'de RawValue,
    path: Option<&'a str>,
}

impl Sought {
    /// Looks for these names, as paths too where `is_path` says so.
    pub fn new(names: &[String], is_path: impl Fn(&str) -> bool, others: Others) -> Self {
        let mut leads: HashMap<String, Vec<Lead>> = HashMap::new();
        for (number, name) in names.iter().enumerate() {
            leads.entry(name.clone()).or_default().push(Lead { number, path: None });
            if is_path(name) {
                for (key, path) in paths(name) {
                    leads.entry(key.to_owned()).or_default().push(Lead { number, path: Some(path.to_owned()) });
                }
            }
        }
        Self { count: names.len(), leads, others }
    }

    /// What leads to each of the names in a record, if anything does.
    ///
    /// # Errors
    /// What is wrong with the record, or with one of its keys.
    pub fn find<'a, 'de>(&'a self, record: &'de str) -> Result<Vec<Option<Found<'a, 'de>>>, String> {
        let mut json = serde_json::Deserializer::from_str(record);
        let found = RecordVisitor(self).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
        found.map_err(|cause| unplaced(&cause))
    }
}

impl<'de> Found<'_, 'de> {
    /// The value, if it is there.
    ///
    /// # Errors
    /// A value on the path that is neither an object nor null.
    pub fn value(self) -> Result<Option<&'de RawValue>, String> {
        let (object, Some(path)) = (self.value, self.path) else { return Ok(Some(self.value)) };
        if object.get() == "null" {
            return Ok(Some(object));
        }
        let inside = Sought::new(&[path.to_owned()], |_| true, Others::Any);
        match inside.find(object.get())?.pop().flatten() {
            Some(found) => found.value(),
            None => Ok(None),
        }
    }
}

/// The keys that may lead to a name, each with the path from there.
pub fn paths(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_shallow = name.match_indices('.').nth(DEEPEST).is_none();
    name.match_indices('.').filter(move |_| is_shallow).map(|(dot, _)| (&name[..dot], &name[dot + 1..]))
}

/// The values of a record that lead to each of the names.
struct RecordVisitor<'a>(&'a Sought);

impl<'a, 'de> DeserializeSeed<'de> for RecordVisitor<'a> {
    type Value = Vec<Option<Found<'a, 'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a, 'de> Visitor<'de> for RecordVisitor<'a> {
    type Value = Vec<Option<Found<'a, 'de>>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = vec![None; self.0.count];
        while let Some(leads) = map.next_key_seed(KeySeed(self.0))? {
            if leads.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            for Lead { number, path } in leads {
                if path.is_none() || !matches!(found[*number], Some(Found { path: None, .. })) {
                    found[*number] = Some(Found { value, path: path.as_deref() });
                }
            }
        }
        Ok(found)
    }
}

/// Where a key leads to.
struct KeySeed<'a>(&'a Sought);

impl KeySeed<'_> {
    /// Fails at a key that no record may have.
    fn check(&self, key: &str, leads: &[Lead]) -> Result<(), String> {
        match &self.0.others {
            Others::NoneOf(taken) if taken.contains(key) => {
                let hint = "choose another name with \"label_column\" or \"confidence_column\", or rename it";
                Err(format!("there is a key {key:?} already; {hint}"))
            }
            Others::None if leads.iter().all(|lead| lead.path.is_some()) => {
                let hint = "choose keys with \"columns\", or have JSON lines come back";
                Err(format!("has a key {key:?}, for which the first line has no column: {hint}"))
            }
            _ => Ok(()),
        }
    }
}

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
        let leads = self.0.leads.get(key).map(Vec::as_slice).unwrap_or_default();
        self.check(key, leads).map_err(E::custom)?;
        Ok(leads)
    }
}
