//! A column's texts.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, GenericByteArray, StringViewArray, UInt64Array,
    new_empty_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowNativeType, BinaryType, ByteArrayType, DataType, LargeBinaryType, LargeUtf8Type, Utf8Type,
};

use super::cursor::{Cursor, said};
use super::kind::{is_bytes, items};
use super::layout::Layout;

/// The texts of a column, and where they stand in it. A text that a dictionary or a run has once is there once.
#[derive(Debug, Clone)]
pub struct ColumnTexts {
    /// What is to be scored.
    pub values: StringViewArray,
    /// Which row has which.
    pub layout: Layout,
    /// Those that are no text, and why; they are null.
    pub unreadable: BTreeMap<usize, String>,
}

impl ColumnTexts {
    /// Those of a column, or of a field in it: `path` has the numbers of the fields that lead there.
    ///
    /// # Errors
    /// What is wrong with the column.
    pub fn read(column: &ArrayRef, path: &[usize]) -> Result<Self, String> {
        let mut at = Cursor::new(column);
        let (mut path, mut lists) = (path.iter(), Vec::new());
        loop {
            at = match at.data_type() {
                DataType::Dictionary(..) => at.into_dictionary()?,
                DataType::RunEndEncoded(..) => at.into_runs()?,
                DataType::Struct(_) => at.into_field(*path.next().ok_or("it is a struct")?)?,
                data_type if items(data_type).is_some() => {
                    let (outer, inner) = at.into_items()?;
                    lists.push(outer);
                    inner
                }
                _ => break,
            };
        }
        let (array, layout, elements) = at.end()?;
        let (values, unreadable) = match elements {
            None => all(&array)?,
            Some(elements) => decoded(chosen(&array, &elements)?)?,
        };
        let layout = lists.into_iter().rev().fold(layout, |items, outer| outer.of(items));
        Ok(Self { values, layout, unreadable })
    }

    /// The first row that has one of these texts, and which.
    pub fn first_of<'a, T>(&self, texts: &'a BTreeMap<usize, T>) -> Option<(usize, &'a T)> {
        if texts.is_empty() {
            return None;
        }
        self.layout.walk(self.values.len()).find_map(|(row, text)| Some((row, texts.get(&text?)?)))
    }
}

type Decoded = (StringViewArray, BTreeMap<usize, String>);

/// Each element as a text.
fn all(array: &ArrayRef) -> Result<Decoded, String> {
    if is_bytes(array.data_type()) {
        let bytes = cast(array, &DataType::BinaryView).map_err(said)?;
        return decoded(bytes.as_binary_view().clone());
    }
    let texts = cast(array, &DataType::Utf8View).map_err(said)?;
    Ok((texts.as_string_view().clone(), BTreeMap::new()))
}

/// Bytes as UTF-8: what is none is null. What stands in a row that is null does not count. Nothing is copied.
fn decoded(bytes: BinaryViewArray) -> Result<Decoded, String> {
    if let Ok(texts) = bytes.clone().to_string_view() {
        return Ok((texts, BTreeMap::new()));
    }
    let reason =
        |bytes: Option<&[u8]>| bytes.and_then(|bytes| str::from_utf8(bytes).err()).map(|cause| cause.to_string());
    let unreadable: BTreeMap<_, _> =
        bytes.iter().enumerate().filter_map(|(row, bytes)| Some((row, reason(bytes)?))).collect();
    let is_text = |row: usize| bytes.is_valid(row) && !unreadable.contains_key(&row);
    let texts: NullBuffer = (0..bytes.len()).map(is_text).collect();
    // An empty view in place of what is no text.
    let views = bytes.views().iter().zip(&texts).map(|(view, is_text)| if is_text { *view } else { 0 }).collect();
    let blanked = BinaryViewArray::try_new(views, bytes.data_buffers().to_vec(), Some(texts));
    let texts = blanked.and_then(BinaryViewArray::to_string_view).map_err(said)?;
    Ok((texts, unreadable))
}

/// These elements as bytes, which stay where they are: batches that name one long text of a dictionary share it.
fn chosen(array: &ArrayRef, elements: &[usize]) -> Result<BinaryViewArray, String> {
    match array.data_type() {
        DataType::Utf8 => viewed(array.as_bytes::<Utf8Type>(), elements),
        DataType::LargeUtf8 => viewed(array.as_bytes::<LargeUtf8Type>(), elements),
        DataType::Binary => viewed(array.as_bytes::<BinaryType>(), elements),
        DataType::LargeBinary => viewed(array.as_bytes::<LargeBinaryType>(), elements),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            let length = usize::try_from(array.value_length()).unwrap_or(0);
            let place = |element: &usize| (element * length, length);
            views(array.values(), elements.iter().map(place))
        }
        DataType::Utf8View | DataType::BinaryView => {
            let elements = UInt64Array::from_iter_values(elements.iter().map(|element| *element as u64));
            let chosen = take(array, &elements, None).map_err(said)?;
            Ok(cast(&chosen, &DataType::BinaryView).map_err(said)?.as_binary_view().clone())
        }
        DataType::Null => Ok(new_empty_array(&DataType::BinaryView).as_binary_view().clone()),
        other => Err(format!("{other} holds no text")),
    }
}

fn viewed<T: ByteArrayType>(array: &GenericByteArray<T>, elements: &[usize]) -> Result<BinaryViewArray, String> {
    let offsets = array.value_offsets();
    let place = |element: usize| {
        let (start, end) = (offsets[element].as_usize(), offsets[element + 1].as_usize());
        (start, end - start)
    };
    views(array.values(), elements.iter().map(|element| place(*element)))
}

/// Views of parts of `bytes`: where each begins, and its length.
fn views(bytes: &Buffer, parts: impl Iterator<Item = (usize, usize)>) -> Result<BinaryViewArray, String> {
    // Arrow panics at a block that is larger than views can point into.
    if bytes.len() >= u32::MAX as usize {
        return Err("it has texts beyond 4 GiB; send smaller batches".to_owned());
    }
    let mut views = BinaryViewBuilder::new();
    let block = views.append_block(bytes.clone());
    for (start, length) in parts {
        views.try_append_view(block, start as u32, length as u32).map_err(said)?;
    }
    Ok(views.finish())
}

#[cfg(test)]
mod tests;
