//! What pandas keeps of a frame, for its own readers by pyarrow and fastparquet. They take columns that are not in there, but fail
//! at a name that is no value of the frame's column index: so a column must be listed, and such an index be one of any values.

use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::{NewColumns, json};

pub const KEY: &str = "pandas";

pub fn extended(text: &str, new: &NewColumns<'_>) -> Result<Option<String>, String> {
    let mut frame = json(text)?;
    let mut levels = frame.get("column_indexes").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(columns) = frame.get_mut("columns").and_then(Value::as_array_mut) else {
        return Ok(None);
    };
    for field in new.fields {
        columns.retain(|other| other.get("field_name").and_then(Value::as_str) != Some(field.name()));
        columns.push(column(field, levels.len()));
    }
    levels.iter_mut().filter(|level| !takes_strings(level)).for_each(take_any);
    if !levels.is_empty() {
        frame["column_indexes"] = levels.into();
    }
    Ok(Some(frame.to_string()))
}

fn column(field: &Field, levels: usize) -> Value {
    let (pandas_type, numpy_type) = types_of(field.data_type());
    json!({
        "name": label(field.name(), levels),
        "field_name": field.name(),
        "pandas_type": pandas_type,
        "numpy_type": numpy_type,
        "metadata": null,
    })
}

/// The column's label: its name, or where labels have several levels a tuple of it and blanks, as Python writes one.
fn label(name: &str, levels: usize) -> String {
    // Whoever names the column as a tuple means that label.
    if levels < 2 || (name.starts_with('(') && name.ends_with(')')) {
        return name.to_owned();
    }
    let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
    format!("('{quoted}'{})", ", ''".repeat(levels - 1))
}

fn takes_strings(level: &Value) -> bool {
    let kind = level.get("pandas_type").and_then(Value::as_str);
    matches!(kind, Some("unicode" | "string" | "bytes" | "object" | "mixed" | "mixed-integer" | "empty"))
}

/// Old labels come back as the strings that they are written as: pandas itself writes an index of mixed values so.
fn take_any(level: &mut Value) {
    level["pandas_type"] = json!("mixed");
    level["numpy_type"] = json!("object");
    level["metadata"] = Value::Null;
}

/// The types that a score column can have, in the words of pandas and of its arrays.
fn types_of(data_type: &DataType) -> (String, &'static str) {
    let (pandas_type, numpy_type) = match data_type {
        // As objects, because of the nulls: fastparquet would put them into a plain array of integers, and fail.
        DataType::Boolean => ("bool", "object"),
        DataType::Int32 => ("int32", "object"),
        DataType::Int64 => ("int64", "object"),
        DataType::Float32 => ("float32", "float32"),
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            return (format!("list[{}]", types_of(item.data_type()).0), "object");
        }
        _ => ("unicode", "object"),
    };
    (pandas_type.to_owned(), numpy_type)
}
