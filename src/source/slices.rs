//! Record batches in slices of some bytes, and what a slice holds of its neighbours.

use std::iter::once;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch,
    RecordBatchOptions, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Field};
use arrow::error::ArrowError;

/// The batch in slices of at most so many bytes, or of one row. What is not made less by that stays whole: most of it is a
/// dictionary, which all slices share.
pub fn slices(batch: &RecordBatch, largest: usize) -> Vec<RecordBatch> {
    let (rows, bytes) = (batch.num_rows(), typed_bytes(batch));
    let half = rows / 2;
    let halves = [batch.slice(0, half), batch.slice(half, rows - half)];
    let shared = halves.each_ref().map(typed_bytes).iter().sum::<usize>().saturating_sub(bytes);
    if rows < 2 || bytes <= largest || shared > bytes / 2 {
        return vec![batch.clone()];
    }
    halves.iter().flat_map(|half| slices(half, largest)).collect()
}

/// Bytes that the batch will take once it is [`typed`](super::typed()): a view that is there a thousand times is then held as
/// often.
pub fn typed_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| array_bytes(&column.to_data())).sum()
}

fn array_bytes(array: &ArrayData) -> usize {
    let own = match array.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            // The low half of a view is its length.
            array.buffer::<u128>(0).iter().take(array.len()).map(|view| *view as u32 as usize + size_of::<u128>()).sum()
        }
        DataType::Struct(_) => array.child_data().iter().map(array_bytes).sum(),
        DataType::List(_) | DataType::Map(..) => list_bytes::<i32>(array),
        DataType::LargeList(_) => list_bytes::<i64>(array),
        DataType::FixedSizeList(_, length) => {
            let [first, items] = [array.offset(), array.len()].map(|rows| rows * usize::try_from(*length).unwrap_or(0));
            array.child_data().iter().map(|child| array_bytes(&child.slice(first, items))).sum()
        }
        _ => return array.get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    };
    own + array.nulls().map_or(0, |_| array.len().div_ceil(8))
}

/// Of the offsets, and of the items between the first and the last.
fn list_bytes<O: OffsetSizeTrait>(array: &ArrayData) -> usize {
    let offsets = array.buffer::<O>(0);
    let [first, last] = [0, array.len()].map(|at| offsets.get(at).map_or(0, |offset| offset.as_usize()));
    let items = array.child_data().iter().map(|items| array_bytes(&items.slice(first, last - first)));
    items.chain(once((array.len() + 1) * size_of::<O>())).sum()
}

/// The batch with what its views show, and nothing else of what others of theirs do: a slice has all of that.
///
/// # Errors
/// Those of Arrow, for columns that it would not make.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(compact_array).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

fn compact_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::Struct(fields) if fields.iter().any(|field| has_views(field)) => {
            let (fields, columns, nulls) = array.as_struct().clone().into_parts();
            let columns = columns.iter().map(compact_array).collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, array.len())?)
        }
        DataType::List(items) if has_views(items) => Arc::new(compact_list::<i32>(array.as_list())?),
        DataType::LargeList(items) if has_views(items) => Arc::new(compact_list::<i64>(array.as_list())?),
        DataType::Map(entries, _) if has_views(entries) => Arc::new(compact_map(array.as_map())?),
        DataType::FixedSizeList(items, length) if has_views(items) => {
            let values = compact_array(array.as_fixed_size_list().values())?;
            let (items, nulls) = (Arc::clone(items), array.nulls().cloned());
            Arc::new(FixedSizeListArray::try_new_with_length(items, *length, values, nulls, array.len())?)
        }
        _ => Arc::clone(array),
    })
}

fn compact_list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<GenericListArray<O>, ArrowError> {
    let (DataType::List(field) | DataType::LargeList(field)) = list.data_type() else { return Ok(list.clone()) };
    let [first, last] = [0, list.len()].map(|at| list.value_offsets()[at].as_usize());
    let items = compact_array(&list.values().slice(first, last - first))?;
    let offsets = OffsetBuffer::from_lengths(list.offsets().lengths());
    GenericListArray::try_new(Arc::clone(field), offsets, items, list.nulls().cloned())
}

fn compact_map(map: &MapArray) -> Result<MapArray, ArrowError> {
    let (field, offsets, entries, nulls, is_sorted) = map.clone().into_parts();
    let [first, last] = [0, map.len()].map(|at| offsets[at].as_usize());
    let entries: ArrayRef = Arc::new(entries.slice(first, last - first));
    let entries = compact_array(&entries)?.as_struct().clone();
    MapArray::try_new(field, OffsetBuffer::from_lengths(offsets.lengths()), entries, nulls, is_sorted)
}

fn has_views(field: &Field) -> bool {
    match field.data_type() {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_views(field)),
        DataType::List(items)
        | DataType::LargeList(items)
        | DataType::FixedSizeList(items, _)
        | DataType::Map(items, _) => has_views(items),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        DictionaryArray, FixedSizeListBuilder, Int32Array, ListBuilder, MapBuilder, StringArray, StringViewArray,
        StringViewBuilder,
    };
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int32Type;

    use super::*;

    const ROWS: usize = 1000;

    fn text(row: usize) -> String {
        format!("{row:0100}")
    }

    fn lists() -> ArrayRef {
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for row in 0..ROWS {
            lists.append_option((row % 7 > 0).then(|| (0..row % 3).map(|item| Some(text(row + item)))));
        }
        Arc::new(lists.finish())
    }

    fn fixed_lists() -> ArrayRef {
        let mut lists = FixedSizeListBuilder::new(StringViewBuilder::new(), 2);
        for row in 0..ROWS {
            lists.values().append_value(text(row));
            lists.values().append_null();
            lists.append(row % 7 > 0);
        }
        Arc::new(lists.finish())
    }

    fn maps() -> ArrayRef {
        let mut maps = MapBuilder::new(None, StringViewBuilder::new(), StringViewBuilder::new());
        for row in 0..ROWS {
            maps.keys().append_value("key");
            maps.values().append_value(text(row));
            maps.append(row % 7 > 0).unwrap();
        }
        Arc::new(maps.finish())
    }

    fn check(column: ArrayRef, largest: usize, count: std::ops::RangeInclusive<usize>) {
        let batch = RecordBatch::try_from_iter_with_nullable([("column", column, true)]).unwrap();
        let parts = slices(&batch, largest);
        assert!(count.contains(&parts.len()), "{} of {}", parts.len(), typed_bytes(&batch));
        let compacted: Vec<_> = parts.iter().map(|part| compact(part).unwrap()).collect();
        assert_eq!(compacted, parts);
        assert_eq!(concat_batches(&batch.schema(), &compacted).unwrap(), batch);
        for part in compacted {
            let held = part.get_array_memory_size();
            assert!(part.num_rows() == 1 || parts.len() == 1 || held < 2 * largest + 10_000, "{held}: {part:?}");
        }
    }

    #[test]
    fn rows_come_in_slices_that_hold_nothing_of_their_neighbours() {
        let texts: Vec<_> = (0..ROWS).map(text).collect();
        let views: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringViewArray>());
        let fields = vec![Arc::new(Field::new("view", DataType::Utf8View, true))];
        let nested = StructArray::new(fields.into(), vec![Arc::clone(&views)], None);
        check(Arc::clone(&views), 20_000, 6..=8);
        check(Arc::new(nested), 20_000, 6..=8);
        check(lists(), 20_000, 4..=8);
        check(fixed_lists(), 20_000, 6..=8);
        check(maps(), 20_000, 6..=16);
        check(views, 200_000, 1..=1);
        check(Arc::new(StringArray::from(vec!["x".repeat(50_000); 4])), 20_000, 4..=4);
    }

    #[test]
    fn what_slices_share_does_not_part_them() {
        let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
        let keys = (0..100 * ROWS as i32).map(|row| row % ROWS as i32).collect::<Int32Array>();
        let few = DictionaryArray::<Int32Type>::new(keys.slice(0, 10), Arc::clone(&values));
        check(Arc::new(few), 20_000, 1..=1);
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, values));
        let batch = RecordBatch::try_from_iter([("column", column)]).unwrap();
        assert!((2..=8).contains(&slices(&batch, 20_000).len()));
    }
}
