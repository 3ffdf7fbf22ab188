//! The key-value entries of a file that describe its columns once more, and so must learn of the new ones.

use super::footer::KeyValue;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use serde_json::{Value, json};

/// Where Spark keeps its schema. It believes this entry and not the Parquet schema, so a column missing here does
/// not exist for it.
const SPARK_SCHEMA: &str = "org.apache.spark.sql.parquet.row.metadata";

/// The new values of those entries of `entries` that list the columns, by number; `fields` are the new columns.
///
/// An entry that is not there is not added: without `ARROW:schema` each reader picks its own Arrow types for the old
/// columns, and a schema from us would change that choice. The new columns come back right without it, but for
/// `probabilities`, which then is a list of any length.
pub(super) fn extended(entries: &[KeyValue<'_>], fields: &Fields) -> Result<Vec<(usize, String)>, String> {
    let mut values = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        if entry.key == ARROW_SCHEMA_META_KEY.as_bytes() {
            values.push((number, arrow_schema(entry.value, fields)?));
        } else if entry.key == SPARK_SCHEMA.as_bytes() {
            values.push((number, spark_schema(entry.value, fields)?));
        }
    }
    Ok(values)
}

fn arrow_schema(encoded: &[u8], fields: &Fields) -> Result<String, String> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        format!("the entry {ARROW_SCHEMA_META_KEY} in its metadata is unreadable: {cause}")
    };
    let message = BASE64_STANDARD.decode(encoded).map_err(|cause| unreadable(&cause))?;
    let old = try_schema_from_ipc_buffer(&message).map_err(|cause| unreadable(&cause))?;
    let all: Fields = old.fields().iter().chain(fields).cloned().collect();
    Ok(encode_arrow_schema(&Schema::new_with_metadata(all, old.metadata)))
}

fn spark_schema(encoded: &[u8], fields: &Fields) -> Result<String, String> {
    let unreadable = |cause: &str| format!("the entry {SPARK_SCHEMA} in its metadata is unreadable: {cause}");
    let mut schema: Value = serde_json::from_slice(encoded).map_err(|cause| unreadable(&cause.to_string()))?;
    let columns = schema.get_mut("fields").and_then(Value::as_array_mut);
    let columns = columns.ok_or_else(|| unreadable("it has no list of fields"))?;
    columns.extend(fields.iter().map(|field| spark_field(field)));
    Ok(schema.to_string())
}

fn spark_field(field: &Field) -> Value {
    json!({
        "name": field.name(),
        "type": spark_type(field.data_type()),
        "nullable": field.is_nullable(),
        "metadata": {},
    })
}

/// The types that a score column can have, in Spark's words.
fn spark_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::FixedSizeList(item, _) | DataType::List(item) => json!({
            "type": "array",
            "elementType": spark_type(item.data_type()),
            "containsNull": item.is_nullable(),
        }),
        _ => json!("string"),
    }
}
