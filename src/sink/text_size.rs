//! How long record batches become as text, at most, told before any of it is written: a few bytes of a dictionary, a run or a view may
//! stand for any number of texts.

use std::iter::from_fn;
use std::ops::Range;

use arrow::array::{Array, AsArray, GenericByteArray, RecordBatch};
use arrow::datatypes::{
    ArrowNativeType, BinaryType, ByteArrayType, DataType, LargeBinaryType, LargeUtf8Type, Schema, Utf8Type,
};

use super::elements::{items_of, value_of};
use crate::{Error, Result};

/// How long a byte becomes: `\u0001`.
const ESCAPED: u64 = 6;

/// What stands around a text or a list: quotes, twice as many in a cell of CSV, and a comma.
const AROUND: u64 = 8;

/// The longest number but a decimal, with what stands around it.
const NUMBER: u64 = 32;

/// The longest date, time or interval, and the digits of a decimal.
const SHOWN: u64 = 160;

/// A part of a record batch.
pub struct TextSlice {
    /// Its rows.
    pub batch: RecordBatch,
    /// How long they become, at most, in bytes.
    pub bytes: usize,
}

/// The batch in slices that become at most `largest` bytes each, or of one row, that becomes at most `longest`.
///
/// # Errors
/// [`Error::TooLarge`] for a longer row, counted from the first of the table: `rows_before` are those before this batch's.
pub fn text_slices(
    batch: RecordBatch,
    largest: usize,
    longest: usize,
    rows_before: usize,
) -> impl Iterator<Item = Result<TextSlice>> + Send {
    let names = names_bytes(&batch.schema()) as u64;
    let mut begin = 0;
    from_fn(move || {
        let (mut end, mut bytes) = (begin, 0);
        while end < batch.num_rows() {
            match row_size(&batch, end, names, longest as u64) {
                Some(row) if end == begin || bytes + row <= largest as u64 => (end, bytes) = (end + 1, bytes + row),
                None if end == begin => return Some(Err(too_large(rows_before + end, longest))),
                // Opens the next slice, or is refused behind this one.
                _ => break,
            }
        }
        let rows = begin..end;
        begin = end;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        (!rows.is_empty()).then(|| Ok(TextSlice { batch: batch.slice(rows.start, rows.len()), bytes }))
    })
}

fn too_large(row: usize, longest: usize) -> Error {
    let hint = "have an Arrow stream made, or choose fewer columns with \"columns\"";
    Error::TooLarge(format!("row {row} may become more than {longest} bytes of text (--max-message-mib): {hint}"))
}

/// How long a row becomes, at most, in bytes, without the names.
pub fn row_text(batch: &RecordBatch, row: usize) -> u64 {
    row_size(batch, row, 0, u64::MAX).unwrap_or(u64::MAX)
}

fn row_size(batch: &RecordBatch, row: usize, names: u64, longest: u64) -> Option<u64> {
    let left = longest.checked_sub(names)?;
    let left = batch.columns().iter().try_fold(left, |left, column| spend(column, row..row + 1, left))?;
    Some(longest - left)
}

/// What is left of so many bytes behind these elements of an array; none where they do not suffice. No more is looked at than becomes
/// text.
fn spend(array: &dyn Array, elements: Range<usize>, left: u64) -> Option<u64> {
    let count = elements.len() as u64;
    let left = left.checked_sub(own_size(array.data_type()).checked_mul(count)?)?;
    if elements.is_empty() {
        return Some(left);
    }
    match array.data_type() {
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            columns.iter().try_fold(left, |left, column| spend(column, elements.clone(), left))
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..) => {
            let (items, first) = items_of(array, elements.start)?;
            let (_, last) = items_of(array, elements.end - 1)?;
            spend(items, first.start..last.end, left)
        }
        DataType::ListView(_) | DataType::LargeListView(_) => elements.into_iter().try_fold(left, |left, at| {
            let (items, range) = items_of(array, at)?;
            spend(items, range, left)
        }),
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) => elements.into_iter().try_fold(left, |left, at| {
            value_of(array, at).map_or(Some(left), |(array, at)| spend(array, at..at + 1, left))
        }),
        DataType::Utf8View => spend_lengths(array.as_string_view().views(), elements, left),
        DataType::BinaryView => spend_lengths(array.as_binary_view().views(), elements, left),
        _ => left.checked_sub(ESCAPED.checked_mul(text_bytes(array, &elements))?),
    }
}

/// The low half of a view is the length of its text.
fn spend_lengths(views: &[u128], elements: Range<usize>, left: u64) -> Option<u64> {
    views[elements].iter().try_fold(left, |left, view| left.checked_sub(ESCAPED * u64::from(*view as u32)))
}

/// Bytes of texts that lie one behind the other.
fn text_bytes(array: &dyn Array, elements: &Range<usize>) -> u64 {
    match array.data_type() {
        DataType::Utf8 => between(array.as_bytes::<Utf8Type>(), elements),
        DataType::LargeUtf8 => between(array.as_bytes::<LargeUtf8Type>(), elements),
        DataType::Binary => between(array.as_bytes::<BinaryType>(), elements),
        DataType::LargeBinary => between(array.as_bytes::<LargeBinaryType>(), elements),
        _ => 0,
    }
}

fn between<T: ByteArrayType>(array: &GenericByteArray<T>, elements: &Range<usize>) -> u64 {
    let offsets = array.value_offsets();
    (offsets[elements.end].as_usize() - offsets[elements.start].as_usize()) as u64
}

/// What an element of this type takes beside those inside of it, and beside its bytes if it is a text.
fn own_size(data_type: &DataType) -> u64 {
    match data_type {
        data_type if data_type.is_integer() || data_type.is_floating() => NUMBER,
        DataType::FixedSizeBinary(bytes) => AROUND + 2 * u64::from(bytes.unsigned_abs()),
        DataType::Struct(fields) => {
            AROUND + fields.iter().map(|field| ESCAPED * field.name().len() as u64 + AROUND).sum::<u64>()
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => SHOWN + u64::from(scale.unsigned_abs()),
        data_type if data_type.is_temporal() => SHOWN,
        _ => AROUND,
    }
}

/// How long the names become, at most, in bytes: they stand in every line of JSON.
pub fn names_bytes(schema: &Schema) -> usize {
    usize::try_from(own_size(&DataType::Struct(schema.fields().clone()))).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, ListViewArray, RunArray,
        StringArray, StringViewArray, StructArray,
    };
    use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
    use arrow::datatypes::{Field, Int32Type};

    use super::*;
    use crate::sink::batches::BatchEncoder;
    use crate::sink::texts::{CsvRows, JsonRows};

    fn item(array: &ArrayRef) -> Arc<Field> {
        Arc::new(Field::new("item", array.data_type().clone(), true))
    }

    /// A text of 1000 bytes that a few bytes name `count` times.
    fn dictionary(count: usize) -> ArrayRef {
        let text = StringArray::from(vec!["\u{1}".repeat(1000)]);
        Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; count]), Arc::new(text)))
    }

    /// Two rows of each.
    fn columns() -> Vec<ArrayRef> {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["\u{1}\"", "", "\"\"\"", "a"]));
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2]), &StringArray::from(vec!["\"a\""]));
        let fixed = FixedSizeBinaryArray::try_from_iter([[0_u8; 100], [1; 100]].iter()).unwrap();
        let fields = StructArray::from(vec![(item(&dictionary(2)), dictionary(2))]);
        let lists = ListArray::new(item(&texts), OffsetBuffer::from_lengths([1, 3]), Arc::clone(&texts), None);
        let (offsets, sizes) = (ScalarBuffer::from(vec![0, 0]), ScalarBuffer::from(vec![4, 4]));
        let shared = ListViewArray::new(item(&dictionary(4)), offsets, sizes, dictionary(4), None);
        vec![
            texts.slice(0, 2),
            Arc::new(StringViewArray::from(vec!["\u{2}".repeat(50), "\"".repeat(50)])),
            Arc::new(Int64Array::from(vec![i64::MIN, 0])),
            Arc::new(runs.unwrap()),
            Arc::new(fixed),
            Arc::new(fields),
            Arc::new(lists),
            Arc::new(shared),
        ]
    }

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let named = columns.into_iter().enumerate().map(|(number, column)| (format!("\u{1}\"{number}"), column, true));
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    }

    #[test]
    fn no_text_is_longer_than_was_said() {
        let each = columns().into_iter().map(|column| batch(vec![column]));
        for batch in each.chain([batch(columns())]) {
            let schema = batch.schema();
            let slices: Vec<_> = text_slices(batch.clone(), 1, 1 << 20, 0).map(Result::unwrap).collect();
            assert_eq!(slices.iter().map(|slice| slice.batch.num_rows()).collect::<Vec<_>>(), [1, 1]);
            for TextSlice { batch, bytes } in slices {
                let encoders: [Box<dyn BatchEncoder>; 2] =
                    [Box::new(JsonRows::new(&schema).unwrap()), Box::new(CsvRows::new(&schema, b',').unwrap())];
                for mut encoder in encoders {
                    // The line of names of CSV comes with the first rows.
                    encoder.encode(&batch.slice(0, 0)).unwrap();
                    let written: usize = encoder.encode(&batch).unwrap().iter().map(Buffer::len).sum();
                    assert!(written <= bytes, "{written} {bytes}");
                }
            }
        }
    }

    #[test]
    fn a_dictionary_is_as_long_as_what_it_stands_for() {
        let slices: Vec<_> = text_slices(batch(vec![dictionary(1000)]), 100_000, 1 << 20, 0).collect();
        assert!((60..100).contains(&slices.len()), "{}", slices.len());
        let offsets = OffsetBuffer::from_lengths([1, 1000]);
        let lists: ArrayRef = Arc::new(ListArray::new(item(&dictionary(1001)), offsets, dictionary(1001), None));
        let mut slices = text_slices(batch(vec![lists]), 100_000, 1 << 20, 7);
        assert_eq!(slices.next().unwrap().unwrap().batch.num_rows(), 1);
        assert!(matches!(slices.next(), Some(Err(Error::TooLarge(text))) if text.starts_with("row 8 may become")));
    }
}
