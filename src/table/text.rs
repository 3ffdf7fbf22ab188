//! A column's rows as texts.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::{Error, Result};

/// Every string type, and dictionaries of one.
pub fn is_string(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_string(values),
        _ => false,
    }
}

/// Every type of bytes, and dictionaries of one. Old writers of Parquet left their strings without a mark that they are some.
pub fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        DataType::Dictionary(_, values) => is_bytes(values),
        _ => false,
    }
}

/// The texts of a column of strings, bytes or nulls, which `name` names in errors.
pub(super) fn texts(name: &str, column: &ArrayRef) -> Result<StringViewArray> {
    let wrong = |cause: ArrowError| Error::Invalid(format!("column {name:?}: {cause}"));
    if is_bytes(column.data_type()) {
        let bytes = cast(column, &DataType::BinaryView).map_err(wrong)?;
        return decoded(name, bytes.as_binary_view());
    }
    Ok(cast(column, &DataType::Utf8View).map_err(wrong)?.as_string_view().clone())
}

/// The rows as UTF-8. What stands in a row that is null does not count.
fn decoded(name: &str, bytes: &BinaryViewArray) -> Result<StringViewArray> {
    if let Ok(texts) = bytes.clone().to_string_view() {
        return Ok(texts);
    }
    let not_text = |row, cause| Error::NotText { row, cause: format!("column {name:?}: {cause}") };
    let rows = bytes.iter().map(|bytes| bytes.map(str::from_utf8).transpose()).enumerate();
    rows.map(|(row, text)| text.map_err(|cause| not_text(row, cause))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, BinaryDictionaryBuilder, FixedSizeBinaryArray, LargeBinaryArray};
    use arrow::datatypes::Int8Type;
    use std::sync::Arc;

    fn read(column: ArrayRef) -> Result<Vec<Option<String>>> {
        assert!(is_bytes(column.data_type()) && !is_string(column.data_type()));
        let texts = texts("t", &column)?;
        Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
    }

    fn dictionary(values: &[Option<&[u8]>]) -> ArrayRef {
        let mut builder = BinaryDictionaryBuilder::<Int8Type>::new();
        for value in values {
            builder.append_option(*value);
        }
        Arc::new(builder.finish())
    }

    #[test]
    fn bytes_of_every_type_are_text_where_they_are_utf_8() {
        let long = "a text longer than a view has room for, ünï".as_bytes();
        let values = [Some(&b"a"[..]), None, Some(long)];
        let columns: [ArrayRef; 4] = [
            Arc::new(BinaryArray::from_iter(values)),
            Arc::new(LargeBinaryArray::from_iter(values)),
            Arc::new(BinaryViewArray::from_iter(values)),
            dictionary(&values),
        ];
        let expected = values.map(|value| value.map(|value| String::from_utf8(value.to_vec()).unwrap()));
        for column in columns {
            assert_eq!(read(column).unwrap(), expected);
        }
        let fixed = FixedSizeBinaryArray::try_from_iter([b"good", b"bad "].into_iter()).unwrap();
        assert_eq!(read(Arc::new(fixed)).unwrap(), [Some("good".to_owned()), Some("bad ".to_owned())]);
    }

    #[test]
    fn a_row_that_is_not_utf_8_is_named() {
        let values = [Some(&b"fine"[..]), None, Some(&b"caf\xe9"[..]), Some(&b"\xff"[..])];
        for column in [Arc::new(BinaryArray::from_iter(values)) as ArrayRef, dictionary(&values)] {
            let error = read(column).unwrap_err();
            assert!(matches!(error, Error::NotText { row: 2, .. }), "{error:?}");
            let error = error.after_rows(100).to_string();
            assert!(error.starts_with("row 102 (counted from 0) is not text: column \"t\": i"), "{error}");
        }
    }

    #[test]
    fn what_stands_in_a_null_does_not_count() {
        let (offsets, values, _) = BinaryArray::from_iter_values([&b"a"[..], b"\xff\xfe"]).into_parts();
        let column = BinaryArray::new(offsets, values, Some(vec![true, false].into()));
        assert_eq!(read(Arc::new(column)).unwrap(), [Some("a".to_owned()), None]);
    }
}
