//! The Avro schema of parquet-avro, and so of Hudi, Flink, Kafka Connect and Beam. Its reader refuses a file with a column that is not
//! in there.

use arrow::datatypes::{DataType, Field, Fields};
use serde_json::{Value, json};

use super::{NewColumns, json, list, put};
use crate::{Error, Result};

/// The key of today, and the one before version 1.6.
pub const KEYS: [&str; 2] = ["parquet.avro.schema", "avro.schema"];

/// Fails if a column has a name that Avro cannot have.
pub fn check_names(fields: &Fields) -> Result<()> {
    match fields.iter().find(|field| !is_name(field.name())) {
        Some(field) => Err(Error::Invalid(format!(
            "column name {:?}: the file has an Avro schema, whose names are made of letters A to Z, digits and _ and do not \
             begin with a digit; choose another name with --label-column or --confidence-column",
            field.name()
        ))),
        None => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(within) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

pub fn extended(text: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let mut schema = json(text)?;
    if schema.get("type").and_then(Value::as_str) != Some("record") {
        return Err("it is no record".to_owned());
    }
    put(list(&mut schema, "fields")?, new.fields.iter().map(|field| column(field)));
    Ok(Some(schema.to_string()))
}

fn column(field: &Field) -> Value {
    json!({ "name": field.name(), "type": nullable(field), "default": null })
}

fn nullable(field: &Field) -> Value {
    json!(["null", type_of(field.data_type())])
}

/// The types that a score column can have, in Avro's words.
fn type_of(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            let items = if item.is_nullable() { nullable(item) } else { type_of(item.data_type()) };
            json!({ "type": "array", "items": items })
        }
        _ => json!("string"),
    }
}
