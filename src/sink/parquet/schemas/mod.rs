//! The key-value entries of a file that describe its columns once more, and so must learn of the new ones.
//!
//! A reader that believes such an entry and not the Parquet schema would not see the new columns, or refuse the file. An entry
//! that is not there is not added: without `ARROW:schema` each reader picks its own Arrow types for the old columns, and
//! a schema from us would change that choice. The new columns come back right without it, but for `probabilities`, which then
//! is a list of any length.
//!
//! What describes something else stays as it is: Hudi's bloom filters and keys, Spark's version and time zone,
//! `geo` (which lists geometries alone), `writer.model.name` and all that nobody here knows.

mod arrow;
mod avro;
mod huggingface;
mod iceberg;
mod pandas;
mod spark;

use ::arrow::datatypes::Fields;
use ::parquet::arrow::ARROW_SCHEMA_META_KEY;
use serde_json::Value;

use super::merge::Change;
use crate::Result;
use crate::source::parquet::UnfitSchema;
use crate::source::parquet::footer::{Entry, Footer};

/// What a splice adds to a file and changes in its metadata.
#[derive(Debug)]
pub struct Extension {
    /// The new columns, numbered where the file numbers its own.
    pub fields: Fields,
    /// What becomes of key-value entries, by number.
    pub changes: Vec<(usize, Change)>,
    /// What the user should know about entries that could not be extended.
    pub warnings: Vec<String>,
}

/// The new columns, as an entry learns of them.
#[derive(Debug)]
struct NewColumns<'a> {
    fields: &'a Fields,
    /// The first free field id, for entries that number columns.
    first_id: i64,
}

/// The entry's value with the new columns; none if it does not list columns after all. In error, what makes it unreadable.
type Extend = fn(&str, &NewColumns<'_>) -> Result<Option<String>, String>;

/// The entries that are extended, by key.
const EXTENDED: [(&str, Extend); 7] = [
    (ARROW_SCHEMA_META_KEY, arrow::extended),
    (spark::KEY, spark::extended),
    (avro::KEYS[0], avro::extended),
    (avro::KEYS[1], avro::extended),
    (iceberg::KEY, iceberg::extended),
    (pandas::KEY, pandas::extended),
    (huggingface::KEY, huggingface::extended),
];

/// Entries of writers whose own readers go by compiled classes or a retired language: nothing here could teach them.
const BOUND: [(&str, &str); 3] = [
    ("parquet.proto.class", "parquet-protobuf reads it only with parquet.proto.ignore.unknown.fields"),
    ("thrift.class", "parquet-thrift reads it only with a projection to the old columns"),
    ("pig.schema", "Pig does not see the new columns"),
];

/// What appending `fields` to the file of this footer takes. `unfit` are its Arrow schemas that do not fit it.
pub fn extension(footer: &Footer<'_>, unfit: &[UnfitSchema], fields: &Fields) -> Result<Extension> {
    if footer.key_values.iter().any(|entry| avro::KEYS.iter().any(|key| entry.key == key.as_bytes())) {
        avro::check_names(fields)?;
    }
    let largest = footer.schema.largest_id;
    let first_id = iceberg_schema(footer).map_or(1, |schema| iceberg::first_free_id(schema, largest));
    let new = NewColumns { fields, first_id };
    let (mut changes, mut warnings) = (Vec::new(), Vec::new());
    for (number, entry) in footer.key_values.iter().enumerate() {
        if let Some(UnfitSchema { cause, .. }) = unfit.iter().find(|unfit| unfit.entry == number) {
            warnings.push(format!(
                "its entry {ARROW_SCHEMA_META_KEY} does not fit its columns ({cause}): the Parquet schema counts, and the output \
                 goes without that entry"
            ));
            changes.push((number, Change::Gone));
            continue;
        }
        match extended(entry, &new) {
            Ok(Some(value)) => changes.push((number, Change::Value(value))),
            Ok(None) => {}
            Err(warning) => warnings.push(warning),
        }
    }
    // Numbers are for files whose columns have some: a reader that finds any goes by them alone.
    let numbered = largest.is_some() && iceberg_schema(footer).is_some();
    let fields = if numbered { iceberg::numbered(fields, first_id) } else { fields.clone() };
    Ok(Extension { fields, changes, warnings })
}

fn extended(entry: &Entry<'_>, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let (Ok(key), Some(value)) = (std::str::from_utf8(entry.key), entry.value) else {
        return Ok(None);
    };
    if let Some((key, consequence)) = BOUND.iter().find(|(bound, _)| *bound == key) {
        return Err(format!("it has the entry {key}: {consequence}"));
    }
    let value = std::str::from_utf8(value).map_err(|cause| cause.to_string());
    extended_value(key, value, new).map_err(|cause| {
        format!("the entry {key} in its metadata is unreadable ({cause}): it stays as it is, without the new columns")
    })
}

/// The new value of the entry `key`, if it is one that lists columns.
fn extended_value(key: &str, value: Result<&str, String>, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let Some((_, extend)) = EXTENDED.iter().find(|(known, _)| *known == key) else {
        return Ok(None);
    };
    extend(value?, new)
}

/// The schema that Iceberg keeps, if it is one.
fn iceberg_schema<'a>(footer: &Footer<'a>) -> Option<&'a str> {
    let mut entries = footer.key_values.iter();
    let entry = entries.find(|entry| entry.key == iceberg::KEY.as_bytes())?;
    let schema = std::str::from_utf8(entry.value?).ok()?;
    iceberg::is_schema(schema).then_some(schema)
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|cause| cause.to_string())
}

/// The list of columns at `key`, which `what` lists them.
fn list<'a>(schema: &'a mut Value, key: &str) -> Result<&'a mut Vec<Value>, String> {
    let list = schema.get_mut(key).and_then(Value::as_array_mut);
    list.ok_or_else(|| format!("it has no list of {key}"))
}

/// Puts columns behind a list of them. One of that name that is listed but not in the file gives way.
fn put(list: &mut Vec<Value>, columns: impl Iterator<Item = Value>) {
    for column in columns {
        list.retain(|other| other.get("name") != column.get("name"));
        list.push(column);
    }
}

#[cfg(test)]
mod tests;
