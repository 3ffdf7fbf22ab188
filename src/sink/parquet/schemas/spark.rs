//! Spark's schema: as JSON, and as Spark before 1.3 wrote it. Spark believes it and not the Parquet schema, so a column missing here
//! does not exist for it.

use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::{NewColumns, json, list, put};

pub const KEY: &str = "org.apache.spark.sql.parquet.row.metadata";

pub fn extended(text: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    if text.starts_with("StructType(") {
        return extended_text(text, new).map(Some);
    }
    let mut schema = json(text)?;
    put(list(&mut schema, "fields")?, new.fields.iter().map(|field| column(field)));
    Ok(Some(schema.to_string()))
}

fn column(field: &Field) -> Value {
    json!({
        "name": field.name(),
        "type": type_of(field.data_type()),
        "nullable": field.is_nullable(),
        "metadata": {},
    })
}

/// The types that a score column can have, in Spark's words.
fn type_of(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::FixedSizeList(item, _) | DataType::List(item) => json!({
            "type": "array",
            "elementType": type_of(item.data_type()),
            "containsNull": item.is_nullable(),
        }),
        _ => json!("string"),
    }
}

/// `StructType(List(StructField(id,LongType,true)))`, or with `ArrayBuffer` for `List`.
fn extended_text(text: &str, new: &NewColumns<'_>) -> Result<String, String> {
    let fields = text.strip_suffix("))").ok_or("it does not end in two brackets")?;
    let comma = if fields.ends_with('(') { "" } else { ", " };
    let columns: Vec<_> = new.fields.iter().map(|field| column_text(field)).collect();
    Ok(format!("{fields}{comma}{}))", columns.join(", ")))
}

fn column_text(field: &Field) -> String {
    format!("StructField({},{},{})", field.name(), type_text(field.data_type()), field.is_nullable())
}

fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BooleanType".to_owned(),
        DataType::Int32 => "IntegerType".to_owned(),
        DataType::Int64 => "LongType".to_owned(),
        DataType::Float32 => "FloatType".to_owned(),
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            format!("ArrayType({},{})", type_text(item.data_type()), item.is_nullable())
        }
        _ => "StringType".to_owned(),
    }
}
