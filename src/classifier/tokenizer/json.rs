//! JSON as Python sees it.

use std::path::Path;

use serde_json::{Map, Value};

use super::unusable;
use crate::Result;

/// Whether Python takes a value for true.
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// A JSON file that holds an object.
pub fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(|e| unusable(path, &e))?;
    serde_json::from_str(&text).map_err(|e| unusable(path, &e))
}
