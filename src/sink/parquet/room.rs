//! How much memory new columns take: until their row group is full, and in the footer.

use arrow::datatypes::{DataType, Fields};

use crate::source::parquet::marks::Marks;

/// What a new chunk takes in the footer beside its marks, in bytes, and how many times its marks are held while that is written.
/// Measured: 2000, and 3 times.
const CHUNK_BYTES: u64 = 3 << 10;
const MARKS_COPIES: u64 = 4;

/// Bytes that so many values of columns of these `fields` take at most, encoded, before any codec.
pub fn encoded_bytes(fields: &Fields, values: u64) -> u64 {
    fields.iter().map(|field| values.saturating_mul(width(field.data_type()))).fold(0, u64::saturating_add)
}

/// Bytes that a value has. One of a class's name is its number: there are few of those.
fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Boolean => 1,
        DataType::Utf8 | DataType::Int32 | DataType::Float32 => 4,
        DataType::FixedSizeList(item, items) => (width(item.data_type()) + 1) * u64::from(items.unsigned_abs()),
        DataType::List(item) => width(item.data_type()) + 1,
        _ => 8,
    }
}

/// Bytes that the footer of so many row groups takes at most for columns of these `fields`, each chunk with these `marks`.
pub fn footer_bytes(fields: &Fields, groups: usize, marks: &Marks) -> u64 {
    // Key and value have their lengths before them.
    let of_marks: usize = marks.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    let chunks = (fields.len() as u64).saturating_mul(groups as u64);
    chunks.saturating_mul(CHUNK_BYTES + MARKS_COPIES * of_marks as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn the_width_of_values_counts() {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let field = |data_type| Field::new("new", data_type, true);
        let fields = |types: Vec<DataType>| types.into_iter().map(field).collect::<Fields>();
        assert_eq!(encoded_bytes(&fields(vec![DataType::Utf8, DataType::Float32]), 100), 800);
        assert_eq!(encoded_bytes(&fields(vec![DataType::FixedSizeList(Arc::clone(&item), 2)]), 100), 1000);
        assert_eq!(encoded_bytes(&fields(vec![DataType::List(item), DataType::Boolean]), 100), 600);
        assert_eq!(encoded_bytes(&fields(vec![DataType::Int64, DataType::Int64]), u64::MAX), u64::MAX);
    }
}
