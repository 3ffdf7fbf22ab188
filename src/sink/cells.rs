//! Values as text: in JSON, and in cells of CSV.

use std::io::Write;

use arrow::array::{Array, AsArray, make_array};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::elements::{items_of, value_of};
use crate::{Error, Result};

/// Writes a value as JSON. Floats have as few digits as tell them apart, and are null where they are no numbers; decimals have all their
/// digits; bytes are hexadecimal; dates and times are as in ISO 8601.
///
/// # Errors
/// [`Error::Invalid`] for a value that has no text: a date beyond the calendar.
pub fn write_json(column: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let Some((values, at)) = value_of(column, row) else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    if let Some(text) = text(values, at) {
        return write_json_text(text, out);
    }
    match values.data_type() {
        DataType::Struct(_) => write_object(values, at, out),
        DataType::Map(..) => write_map(values, at, out),
        data_type if data_type.is_floating() => write_float(values, at, out).map(|_| ()),
        data_type if data_type.is_numeric() || *data_type == DataType::Boolean => write_number(values, at, out),
        data_type if data_type.is_nested() => write_list(values, at, out),
        _ => write_json_text(&shown(values, at)?, out),
    }
}

/// A text, if the value is one.
fn text(values: &dyn Array, at: usize) -> Option<&str> {
    match values.data_type() {
        DataType::Utf8 => Some(values.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => Some(values.as_string::<i64>().value(at)),
        DataType::Utf8View => Some(values.as_string_view().value(at)),
        _ => None,
    }
}

fn unwritten(cause: serde_json::Error) -> Error {
    Error::Failed(format!("a value was not written: {cause}"))
}

fn write_json_text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, text).map_err(unwritten)
}

/// Says whether it is a number: what is none is null.
fn write_float(values: &dyn Array, at: usize, out: &mut Vec<u8>) -> Result<bool> {
    if *values.data_type() == DataType::Float64 {
        let float = values.as_primitive::<Float64Type>().value(at);
        serde_json::to_writer(out, &float).map_err(unwritten)?;
        return Ok(float.is_finite());
    }
    let float = match values.data_type() {
        DataType::Float16 => values.as_primitive::<Float16Type>().value(at).to_f32(),
        _ => values.as_primitive::<Float32Type>().value(at),
    };
    serde_json::to_writer(out, &float).map_err(unwritten)?;
    Ok(float.is_finite())
}

fn write_number(values: &dyn Array, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let written = match values.data_type() {
        DataType::Int64 => write!(out, "{}", values.as_primitive::<Int64Type>().value(at)),
        DataType::Int32 => write!(out, "{}", values.as_primitive::<Int32Type>().value(at)),
        _ => write!(out, "{}", shown(values, at)?),
    };
    written.map_err(|cause| Error::Failed(format!("a number was not written: {cause}")))
}

fn write_list(values: &dyn Array, at: usize, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    if let Some((items, range)) = items_of(values, at) {
        let start = range.start;
        for item in range {
            if item > start {
                out.push(b',');
            }
            write_json(items, item, out)?;
        }
    }
    out.push(b']');
    Ok(())
}

fn write_object(values: &dyn Array, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let values = values.as_struct();
    let mut before = b'{';
    for (field, column) in values.fields().iter().zip(values.columns()) {
        out.push(std::mem::replace(&mut before, b','));
        write_json_text(field.name(), out)?;
        out.push(b':');
        write_json(column, at, out)?;
    }
    out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
    Ok(())
}

/// An object; keys that are no texts are written as such.
fn write_map(values: &dyn Array, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut before = b'{';
    let [keys, items] = [0, 1].map(|column| values.as_map().entries().column(column));
    for entry in items_of(values, at).map_or(0..0, |(_, entries)| entries) {
        out.push(std::mem::replace(&mut before, b','));
        let begin = out.len();
        write_json(keys, entry, out)?;
        if out.get(begin) != Some(&b'"') {
            let key = String::from_utf8_lossy(&out.split_off(begin)).into_owned();
            write_json_text(&key, out)?;
        }
        out.push(b':');
        write_json(items, entry, out)?;
    }
    out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
    Ok(())
}

/// As Arrow shows it. A time of a zone is shown in UTC, which is what it holds: not every zone is known here.
fn shown(values: &dyn Array, at: usize) -> Result<String> {
    let shown = |values: &dyn Array, at| {
        let options = FormatOptions::new().with_display_error(false);
        ArrayFormatter::try_new(values, &options)?.value(at).try_to_string()
    };
    let DataType::Timestamp(unit, Some(_)) = values.data_type() else {
        return shown(values, at).map_err(|cause| no_text(values, &cause));
    };
    let instant = values.slice(at, 1).to_data().into_builder().data_type(DataType::Timestamp(*unit, None)).build();
    let time = instant.and_then(|instant| shown(&make_array(instant), 0)).map_err(|cause| no_text(values, &cause))?;
    Ok(time + "Z")
}

fn no_text(values: &dyn Array, cause: &ArrowError) -> Error {
    Error::Invalid(format!("no text can be made of a value of type {}: {cause}", values.data_type()))
}

/// Writes a value as a cell of CSV: nothing for null; what is nested as JSON.
///
/// # Errors
/// As [`write_json`].
pub fn write_csv(column: &dyn Array, row: usize, delimiter: u8, out: &mut Vec<u8>) -> Result<()> {
    let Some((values, at)) = value_of(column, row) else { return Ok(()) };
    if let Some(text) = text(values, at) {
        write_csv_text(text, delimiter, out);
        return Ok(());
    }
    match values.data_type() {
        data_type if data_type.is_floating() => {
            let begin = out.len();
            if !write_float(values, at, out)? {
                out.truncate(begin);
                out.extend_from_slice(shown(values, at)?.as_bytes());
            }
        }
        data_type if data_type.is_numeric() || *data_type == DataType::Boolean => write_number(values, at, out)?,
        data_type if data_type.is_nested() => {
            let mut json = Vec::new();
            write_json(values, at, &mut json)?;
            write_csv_text(&String::from_utf8_lossy(&json), delimiter, out);
        }
        _ => write_csv_text(&shown(values, at)?, delimiter, out),
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

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray, Float32Array,
        Float64Array, Int32Array, Int64Array, NullArray, RunArray, StringArray, StringViewArray, StructArray,
        TimestampMicrosecondArray, TimestampSecondArray,
    };
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

    #[test]
    fn values_of_every_kind_have_a_text() {
        let check = |column: ArrayRef, json: &str, csv: &str| {
            assert_eq!(both(column, 1), (json.to_owned(), csv.to_owned()));
        };
        check(Arc::new(Float64Array::from(vec![0.0, f64::NAN])), "null", "NaN");
        check(
            Arc::new(Decimal128Array::from(vec![0, -1250]).with_precision_and_scale(9, 3).unwrap()),
            "-1.250",
            "-1.250",
        );
        check(Arc::new(BinaryArray::from_vec(vec![b"", b"\xff\x01"])), r#""ff01""#, "ff01");
        let times = TimestampMicrosecondArray::from(vec![0, 1_700_000_000_500_000]);
        check(Arc::new(times.clone()), r#""2023-11-14T22:13:20.500""#, "2023-11-14T22:13:20.500");
        let times = times.with_timezone("Europe/Berlin");
        check(Arc::new(times), r#""2023-11-14T22:13:20.500Z""#, "2023-11-14T22:13:20.500Z");
        check(Arc::new(NullArray::new(2)), "null", "");
        let texts = ["b", "b", ""].into_iter().collect::<DictionaryArray<Int32Type>>();
        check(Arc::new(texts.clone()), r#""b""#, "b");
        check(Arc::new(texts.slice(1, 2)), r#""""#, r#""""#);
        let keys = Int32Array::from(vec![0, 1]);
        let values = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        check(Arc::new(DictionaryArray::new(keys, values)), "null", "");
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 3]), &StringArray::from(vec!["a", "b"]));
        check(Arc::new(runs.unwrap()), r#""b""#, "b");
        let field = |name| Arc::new(Field::new(name, DataType::Int64, true));
        let numbers = || Arc::new(Int64Array::from(vec![None, Some(2)])) as ArrayRef;
        let pairs = StructArray::from(vec![(field("x"), numbers()), (field("y"), numbers())]);
        check(Arc::new(pairs), r#"{"x":2,"y":2}"#, r#""{""x"":2,""y"":2}""#);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_said() {
        let far = TimestampSecondArray::from(vec![i64::MAX]);
        let error = write_json(&far, 0, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::Invalid(text) if text.contains("Timestamp")));
    }

    #[test]
    fn maps_are_objects() {
        let mut maps =
            arrow::array::MapBuilder::new(None, arrow::array::Int32Builder::new(), arrow::array::Int32Builder::new());
        maps.keys().append_value(7);
        maps.values().append_null();
        maps.append(true).unwrap();
        maps.append(true).unwrap();
        let maps: ArrayRef = Arc::new(maps.finish());
        assert_eq!(both(Arc::clone(&maps), 0).0, r#"{"7":null}"#);
        assert_eq!(both(maps, 1).0, "{}");
    }
}
