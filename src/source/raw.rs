//! Strings as bytes that nobody has looked at yet: Arrow's readers refuse a batch as a whole for one string that is not UTF-8,
//! and as bytes it is a row's trouble. Both lie in memory alike, and go back as they came.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema};

/// The schema with the strings in these columns as bytes, however they are encoded and nested.
pub fn strings_as_bytes(schema: &Schema, columns: impl Iterator<Item = usize>) -> Schema {
    let columns: HashSet<_> = columns.collect();
    let fields = schema.fields().iter().enumerate();
    let fields: Fields =
        fields.map(|(number, field)| if columns.contains(&number) { raw(field) } else { Arc::clone(field) }).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn raw(field: &FieldRef) -> FieldRef {
    // The field is kept but for its type: it knows which dictionary is its own.
    Arc::new(field.as_ref().clone().with_data_type(raw_type(field.data_type())))
}

/// The type with bytes in place of strings.
pub fn raw_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Binary,
        DataType::LargeUtf8 => DataType::LargeBinary,
        DataType::Utf8View => DataType::BinaryView,
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(raw_type(values))),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(Arc::clone(ends), raw(values)),
        DataType::List(item) => DataType::List(raw(item)),
        DataType::LargeList(item) => DataType::LargeList(raw(item)),
        DataType::ListView(item) => DataType::ListView(raw(item)),
        DataType::LargeListView(item) => DataType::LargeListView(raw(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(raw(item), *length),
        DataType::Map(entries, sorted) => DataType::Map(raw(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(raw).collect()),
        other => other.clone(),
    }
}
