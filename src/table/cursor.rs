//! Down into a column, to the strings in it: through structs, dictionaries, runs and lists, without making more of them than there is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericListArray, GenericListViewArray, OffsetSizeTrait, RunArray,
    UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt64Type};
use arrow::error::ArrowError;

use super::layout::Layout;

/// A place in a column: an array, and which of its elements each row has.
pub struct Cursor {
    array: ArrayRef,
    /// None: of each row that with its number.
    rows: Option<Vec<Option<usize>>>,
}

/// The lists of rows, without their items.
pub struct Lists {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Lists {
    /// With items laid out so.
    pub fn of(self, items: Layout) -> Layout {
        Layout::Lists { offsets: self.offsets, nulls: self.nulls, items: Box::new(items) }
    }
}

type Found<T> = Result<T, String>;

impl Cursor {
    /// At the column itself.
    pub fn new(column: &ArrayRef) -> Self {
        Self { array: Arc::clone(column), rows: None }
    }

    /// Where it stands.
    pub fn data_type(&self) -> &DataType {
        self.array.data_type()
    }

    /// On to field number `field` of a struct. What is in a null is null.
    pub fn into_field(self, field: usize) -> Found<Self> {
        let parent = self.array.as_struct_opt().ok_or("it has no fields")?;
        let child = parent.columns().get(field).ok_or("a field is missing")?;
        let at = Self { array: Arc::clone(child), rows: self.rows };
        Ok(match parent.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => at,
            Some(nulls) => at.mapped(parent.len(), |element| nulls.is_valid(element).then_some(element)),
        })
    }

    /// On to the values of a dictionary.
    pub fn into_dictionary(self) -> Found<Self> {
        let dictionary = self.array.as_any_dictionary_opt().ok_or("it is no dictionary")?;
        let keys = cast(dictionary.keys(), &DataType::UInt64).map_err(said)?;
        let keys = keys.as_primitive::<UInt64Type>();
        let key = |row: usize| keys.is_valid(row).then(|| usize::try_from(keys.value(row)).unwrap_or(usize::MAX));
        let values = Arc::clone(dictionary.values());
        Self { array: values, rows: self.rows }.mapped(keys.len(), key).checked()
    }

    /// On to the values of runs.
    pub fn into_runs(self) -> Found<Self> {
        match self.array.data_type() {
            DataType::RunEndEncoded(ends, _) if *ends.data_type() == DataType::Int16 => self.runs::<Int16Type>(),
            DataType::RunEndEncoded(ends, _) if *ends.data_type() == DataType::Int32 => self.runs::<Int32Type>(),
            _ => self.runs::<Int64Type>(),
        }
    }

    fn runs<R: RunEndIndexType + ArrowPrimitiveType>(self) -> Found<Self> {
        let runs = self.array.as_any().downcast_ref::<RunArray<R>>().ok_or("it has no runs")?;
        let values = Arc::clone(runs.values());
        let run = |row| Some(runs.get_physical_index(row));
        Self { array: values, rows: self.rows }.mapped(runs.len(), run).checked()
    }

    /// On to the items of lists.
    pub fn into_items(self) -> Found<(Lists, Self)> {
        match self.array.data_type() {
            DataType::List(_) => self.offset_lists(self.array.as_list::<i32>()),
            DataType::LargeList(_) => self.offset_lists(self.array.as_list::<i64>()),
            DataType::ListView(_) => self.viewed_lists(self.array.as_list_view::<i32>()),
            DataType::LargeListView(_) => self.viewed_lists(self.array.as_list_view::<i64>()),
            _ => {
                let lists = self.array.as_fixed_size_list_opt().ok_or("it has no items")?;
                let length = usize::try_from(lists.value_length()).unwrap_or(0);
                self.lists(lists.values(), |row| (row * length, length))
            }
        }
    }

    fn offset_lists<O: OffsetSizeTrait>(&self, lists: &GenericListArray<O>) -> Found<(Lists, Self)> {
        let offsets = lists.value_offsets();
        self.lists(lists.values(), |row| {
            let (start, end) = (offsets[row].as_usize(), offsets[row + 1].as_usize());
            (start, end - start)
        })
    }

    fn viewed_lists<O: OffsetSizeTrait>(&self, lists: &GenericListViewArray<O>) -> Found<(Lists, Self)> {
        let (starts, lengths) = (lists.value_offsets(), lists.value_sizes());
        self.lists(lists.values(), |row| (starts[row].as_usize(), lengths[row].as_usize()))
    }

    /// `range` is where the items of an element begin, and how many they are.
    fn lists(&self, items: &ArrayRef, range: impl Fn(usize) -> (usize, usize)) -> Found<(Lists, Self)> {
        let len = self.rows.as_ref().map_or(self.array.len(), Vec::len);
        let element = |row: usize| self.rows.as_ref().map_or(Some(row), |rows| rows[row]);
        let list = |row: usize| element(row).filter(|element| self.array.is_valid(*element));
        let ranges = || (0..len).map(|row| list(row).map_or((0, 0), &range));
        let total = ranges().map(|(_, length)| length).fold(0, usize::saturating_add);
        // Counted before they are written out: few bytes can stand for many of them.
        if total > items.len() {
            return Err(format!(
                "its lists share items: {total} in all, of {}; send them as plain lists, in Python with \
                 cast(pa.list_(pa.string()))",
                items.len()
            ));
        }
        if i32::try_from(total).is_err() {
            return Err(format!("{total} items are more than a list array has room for; send smaller batches"));
        }
        let nulls: NullBuffer = (0..len).map(|row| list(row).is_some()).collect();
        let lists = Lists {
            offsets: OffsetBuffer::from_lengths(ranges().map(|(_, length)| length)),
            nulls: Some(nulls).filter(|nulls| nulls.null_count() > 0),
        };
        let rows = ranges().flat_map(|(start, length)| start..start + length);
        let in_order = rows.clone().enumerate().all(|(number, item)| number == item);
        let items = Self { array: Arc::clone(items), rows: (!in_order).then(|| rows.map(Some).collect()) };
        Ok((lists, if in_order { Self { array: items.array.slice(0, total), rows: None } } else { items }))
    }

    /// The array, and which of its elements each row has: by a layout of those that are asked for, each once, and their
    /// numbers in the order in which rows ask for them. None where that is all of them.
    pub fn end(self) -> Found<(ArrayRef, Layout, Option<Vec<usize>>)> {
        let Some(rows) = self.rows else { return Ok((self.array, Layout::Each, None)) };
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        let mut elements = Vec::new();
        let mut keys = Vec::with_capacity(rows.len());
        for element in rows {
            let element =
                element.filter(|element| *self.array.data_type() != DataType::Null && self.array.is_valid(*element));
            keys.push(element.map(|element| {
                *numbers.entry(element).or_insert_with(|| {
                    elements.push(element);
                    (elements.len() - 1) as u32
                })
            }));
        }
        u32::try_from(elements.len()).map_err(|_| "too many texts in a batch; send smaller ones".to_owned())?;
        Ok((self.array, Layout::Keyed(UInt32Array::from(keys)), Some(elements)))
    }

    /// What `inner` has for each element, of so many, as elements of the array.
    fn mapped(self, elements: usize, inner: impl Fn(usize) -> Option<usize>) -> Self {
        let rows = match self.rows {
            None => (0..elements).map(inner).collect(),
            Some(rows) => rows.into_iter().map(|element| element.and_then(&inner)).collect(),
        };
        Self { array: self.array, rows: Some(rows) }
    }

    /// Fails if a row has an element that is not there.
    fn checked(self) -> Found<Self> {
        let len = self.array.len();
        let beyond = self.rows.iter().flatten().flatten().find(|element| **element >= len);
        match beyond {
            None => Ok(self),
            Some(element) => Err(format!("value {element} of {len} is asked for")),
        }
    }
}

/// What arrow says of it.
pub fn said(cause: ArrowError) -> String {
    cause.to_string()
}
