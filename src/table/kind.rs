//! Which columns hold texts.

use arrow::datatypes::{DataType, FieldRef, Fields};

/// Every string type, and dictionaries and runs of one.
pub fn is_string(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        _ => encoded(data_type).is_some_and(is_string),
    }
}

/// Every type of bytes, and dictionaries and runs of one. Old writers of Parquet left their strings without a mark that they
/// are some.
pub fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        _ => encoded(data_type).is_some_and(is_bytes),
    }
}

/// What can be scored where it is named: strings, bytes, nulls, and lists of these.
pub fn is_scorable(data_type: &DataType) -> bool {
    items(data_type).map_or_else(|| is_flat(data_type), |item| is_scorable(item.data_type()))
}

/// The items of a list, of whatever kind.
pub fn items(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// The fields of a struct, or of the structs in a list.
pub fn fields(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::Struct(fields) => Some(fields),
        _ => items(data_type).and_then(|item| fields(item.data_type())),
    }
}

/// A text a row. Lists in a dictionary or in runs are left out: a few bytes would stand for any number of texts.
fn is_flat(data_type: &DataType) -> bool {
    let is_leaf = is_string(data_type) || is_bytes(data_type) || *data_type == DataType::Null;
    is_leaf || encoded(data_type).is_some_and(is_flat)
}

/// The type of the values that a dictionary or runs stand for.
fn encoded(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Dictionary(_, values) => Some(values),
        DataType::RunEndEncoded(_, values) => Some(values.data_type()),
        _ => None,
    }
}
