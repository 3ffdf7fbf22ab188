//! Down to the value that an element of an array stands for, and to the items of one.

use std::ops::Range;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, GenericListArray, GenericListViewArray, OffsetSizeTrait};
use arrow::datatypes::{ArrowNativeType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::downcast_dictionary_array;

/// Where the value of an element lies: behind dictionaries and runs. None where it is null.
pub fn value_of(mut array: &dyn Array, mut at: usize) -> Option<(&dyn Array, usize)> {
    while array.is_valid(at) {
        (array, at) = match array.data_type() {
            DataType::Null => return None,
            DataType::Dictionary(..) => (array.as_any_dictionary().values().as_ref(), key(array, at)),
            DataType::RunEndEncoded(ends, _) => match ends.data_type() {
                DataType::Int16 => run::<Int16Type>(array, at),
                DataType::Int32 => run::<Int32Type>(array, at),
                _ => run::<Int64Type>(array, at),
            },
            _ => return Some((array, at)),
        };
    }
    None
}

fn key(array: &dyn Array, at: usize) -> usize {
    downcast_dictionary_array!(
        array => array.keys().value(at).as_usize(),
        _ => at,
    )
}

fn run<R: RunEndIndexType + ArrowPrimitiveType>(array: &dyn Array, at: usize) -> (&dyn Array, usize) {
    let runs = array.as_run::<R>();
    (runs.values().as_ref(), runs.get_physical_index(at))
}

/// Where the items of an element lie, or the entries of a map. None where the array has no such.
pub fn items_of(array: &dyn Array, at: usize) -> Option<(&dyn Array, Range<usize>)> {
    Some(match array.data_type() {
        DataType::List(_) => listed(array.as_list::<i32>(), at),
        DataType::LargeList(_) => listed(array.as_list::<i64>(), at),
        DataType::ListView(_) => viewed(array.as_list_view::<i32>(), at),
        DataType::LargeListView(_) => viewed(array.as_list_view::<i64>(), at),
        DataType::FixedSizeList(..) => {
            let lists = array.as_fixed_size_list();
            let length = usize::try_from(lists.value_length()).unwrap_or(0);
            (lists.values().as_ref(), at * length..(at + 1) * length)
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            let offsets = maps.value_offsets();
            (maps.entries(), offsets[at].as_usize()..offsets[at + 1].as_usize())
        }
        _ => return None,
    })
}

fn listed<O: OffsetSizeTrait>(lists: &GenericListArray<O>, at: usize) -> (&dyn Array, Range<usize>) {
    let offsets = lists.value_offsets();
    (lists.values().as_ref(), offsets[at].as_usize()..offsets[at + 1].as_usize())
}

fn viewed<O: OffsetSizeTrait>(lists: &GenericListViewArray<O>, at: usize) -> (&dyn Array, Range<usize>) {
    let start = lists.value_offsets()[at].as_usize();
    (lists.values().as_ref(), start..start + lists.value_sizes()[at].as_usize())
}
