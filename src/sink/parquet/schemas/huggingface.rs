//! The features of a data set of Hugging Face's `datasets`.

use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::{NewColumns, json};

pub const KEY: &str = "huggingface";

pub fn extended(text: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let mut info = json(text)?;
    let Some(features) = info.pointer_mut("/info/features").and_then(Value::as_object_mut) else {
        return Ok(None);
    };
    features.extend(new.fields.iter().map(|field| (field.name().clone(), feature(field))));
    Ok(Some(info.to_string()))
}

fn feature(field: &Field) -> Value {
    let value = |dtype: &str| json!({ "dtype": dtype, "_type": "Value" });
    match field.data_type() {
        DataType::Boolean => value("bool"),
        DataType::Int32 => value("int32"),
        DataType::Int64 => value("int64"),
        DataType::Float32 => value("float32"),
        // Versions before 4 know no `List`, those after it still know this name.
        DataType::FixedSizeList(item, len) => json!({ "feature": feature(item), "length": len, "_type": "Sequence" }),
        _ => value("string"),
    }
}
