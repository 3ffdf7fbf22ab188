//! The schema of Iceberg, which knows columns by number: in here and in the Parquet schema alike.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use serde_json::{Value, json};

use super::{NewColumns, json, list, put};

pub const KEY: &str = "iceberg.schema";

/// From here on ids are Iceberg's own, of columns such as `_file`.
const RESERVED: i64 = i32::MAX as i64 - 200;

pub fn is_schema(text: &str) -> bool {
    json(text).is_ok_and(|mut schema| list(&mut schema, "fields").is_ok())
}

/// The first id that neither the schema nor the file (whose largest is given) has.
pub fn first_free_id(text: &str, largest: Option<i64>) -> i64 {
    let noted = json(text).map_or(0, |schema| largest_id(&schema));
    noted.max(largest.filter(|id| *id < RESERVED).unwrap_or(0)) + 1
}

fn largest_id(schema: &Value) -> i64 {
    match schema {
        Value::Array(items) => items.iter().map(largest_id).max().unwrap_or(0),
        Value::Object(members) => {
            let ids = members.iter().filter(|(key, _)| matches!(&***key, "id" | "element-id" | "key-id" | "value-id"));
            let ids = ids.filter_map(|(_, id)| id.as_i64()).filter(|id| *id < RESERVED);
            ids.chain(members.values().map(largest_id)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// The fields, numbered from `first` on, so that the Parquet columns are: first all columns, then what is within them, as
/// Iceberg itself does.
pub fn numbered(fields: &Fields, first: i64) -> Fields {
    let with_id = |field: &Field, id: i64| {
        let mut metadata = field.metadata().clone();
        metadata.insert(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string());
        field.clone().with_metadata(metadata)
    };
    let item_id = item_id(fields, first);
    let number = |(field, id): (&Arc<Field>, i64)| {
        let data_type = match field.data_type() {
            DataType::FixedSizeList(item, len) => DataType::FixedSizeList(Arc::new(with_id(item, item_id)), *len),
            other => other.clone(),
        };
        with_id(field, id).with_data_type(data_type)
    };
    fields.iter().zip(first..).map(number).collect()
}

/// The id of the items of a list. No more than one of the columns is one.
fn item_id(fields: &Fields, first: i64) -> i64 {
    first + fields.len() as i64
}

pub fn extended(text: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let mut schema = json(text)?;
    let item_id = item_id(new.fields, new.first_id);
    let numbered = new.fields.iter().zip(new.first_id..);
    put(list(&mut schema, "fields")?, numbered.map(|(field, id)| column(field, id, item_id)));
    Ok(Some(schema.to_string()))
}

fn column(field: &Field, id: i64, item_id: i64) -> Value {
    json!({
        "id": id,
        "name": field.name(),
        "required": !field.is_nullable(),
        "type": type_of(field.data_type(), item_id),
    })
}

/// The types that a score column can have, in Iceberg's words.
fn type_of(data_type: &DataType, item_id: i64) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::FixedSizeList(item, _) | DataType::List(item) => json!({
            "type": "list",
            "element-id": item_id,
            "element": type_of(item.data_type(), item_id),
            "element-required": !item.is_nullable(),
        }),
        _ => json!("string"),
    }
}
