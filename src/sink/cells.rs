//! Values of the columns that are appended, as text.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};

use crate::{Error, Result};

/// Writes a value as JSON. Floats have as few digits as tell them apart.
///
/// # Errors
/// [`Error::Failed`] for a type that no such column has.
pub fn write_json(column: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let written = match column.data_type() {
        DataType::Utf8 => serde_json::to_writer(&mut *out, column.as_string::<i32>().value(row)),
        DataType::Int64 => serde_json::to_writer(&mut *out, &column.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => serde_json::to_writer(&mut *out, &column.as_primitive::<Int32Type>().value(row)),
        DataType::Float32 => serde_json::to_writer(&mut *out, &column.as_primitive::<Float32Type>().value(row)),
        DataType::Boolean => serde_json::to_writer(&mut *out, &column.as_boolean().value(row)),
        DataType::FixedSizeList(..) => return write_list(&*column.as_fixed_size_list().value(row), out),
        DataType::List(..) => return write_list(&*column.as_list::<i32>().value(row), out),
        other => return Err(Error::Failed(format!("no text is made of a value of {other}"))),
    };
    written.map_err(|cause| Error::Failed(format!("a value was not written: {cause}")))
}

fn write_list(items: &dyn Array, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    for item in 0..items.len() {
        if item > 0 {
            out.push(b',');
        }
        write_json(items, item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Writes a value as a cell of CSV: nothing for null, a list as JSON.
///
/// # Errors
/// As [`write_json`].
pub fn write_csv(column: &dyn Array, row: usize, delimiter: u8, out: &mut Vec<u8>) -> Result<()> {
    match column.data_type() {
        _ if column.is_null(row) => {}
        DataType::Utf8 => write_csv_text(column.as_string::<i32>().value(row), delimiter, out),
        _ => {
            let mut json = Vec::new();
            write_json(column, row, &mut json)?;
            write_csv_text(&String::from_utf8_lossy(&json), delimiter, out);
        }
    }
    Ok(())
}

/// Writes a text as a cell of CSV, in quotes where it needs them: an empty one would else be null.
pub fn write_csv_text(text: &str, delimiter: u8, out: &mut Vec<u8>) {
    let needs_quotes = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n');
    if !text.is_empty() && !text.bytes().any(needs_quotes) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    fn both(column: ArrayRef, row: usize) -> (String, String) {
        let (mut json, mut csv) = (Vec::new(), Vec::new());
        write_json(&column, row, &mut json).unwrap();
        write_csv(&column, row, b',', &mut csv).unwrap();
        (String::from_utf8(json).unwrap(), String::from_utf8(csv).unwrap())
    }

    #[test]
    fn values_are_as_short_as_they_can_be_read_back() {
        let pair = |json: &str, csv: &str| (json.to_owned(), csv.to_owned());
        let sure = 0.999_812_3_f32;
        assert_eq!(both(Arc::new(Float32Array::from(vec![sure])), 0), pair("0.9998123", "0.9998123"));
        assert_eq!(both(Arc::new(Float32Array::from(vec![None])), 0), pair("null", ""));
        assert_eq!(both(Arc::new(Int64Array::from(vec![1])), 0), pair("1", "1"));
        assert_eq!(both(Arc::new(Int32Array::from(vec![-3])), 0), pair("-3", "-3"));
        assert_eq!(both(Arc::new(BooleanArray::from(vec![true])), 0), pair("true", "true"));
        assert_eq!(both(Arc::new(StringArray::from(vec!["a\"b, ü\n"])), 0), pair(r#""a\"b, ü\n""#, "\"a\"\"b, ü\n\""));
        assert_eq!(both(Arc::new(StringArray::from(vec![""])), 0), pair(r#""""#, r#""""#));
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = Arc::new(Float32Array::from(vec![0.25, 0.75]));
        let lists = FixedSizeListArray::try_new(item, 2, values, None).unwrap();
        assert_eq!(both(Arc::new(lists), 0), pair("[0.25,0.75]", "\"[0.25,0.75]\""));
    }
}
