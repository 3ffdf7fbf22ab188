//! Columns that were read as views, and strings that were read as bytes, as the types that their table has.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use super::raw::raw_type;
use crate::{Error, Result};

/// The batch with the types of `schema`, which has the same columns: views become what they are views of.
///
/// # Errors
/// [`Error::Invalid`] for a column whose values its own type cannot hold: a dictionary of more values than its keys count, a
/// string that is not UTF-8.
pub fn typed(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| {
        of_type(column, field.data_type())
            .map_err(|cause| Error::Invalid(format!("column {:?} does not fit its type: {cause}", field.name())))
    });
    of_columns(batch, columns.collect::<Result<Vec<_>>>()?, schema)
}

/// The batch with the types of `schema`, which has the same columns, where strings were read as bytes; views stay as they are.
///
/// # Errors
/// [`Error::NotText`] that names the first row, counted from this batch's first, whose string is not UTF-8, and [`Error::Invalid`] for
/// a column that has such a string somewhere in lists or structs.
pub fn with_strings(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        let strings = renamed(column.to_data(), field.data_type()).map(make_array);
        strings.map_err(|cause| {
            let cause = format!("column {:?} does not fit its type: {cause}", field.name());
            row_without_text(column).map_or(Error::Invalid(cause.clone()), |row| Error::NotText { row, cause })
        })
    });
    of_columns(batch, columns.collect::<Result<Vec<_>>>()?, schema)
}

/// The first row whose bytes are not UTF-8, if the column is one of bytes.
fn row_without_text(column: &ArrayRef) -> Option<usize> {
    let bytes = cast(column, &DataType::BinaryView).ok()?;
    bytes.as_binary_view().iter().position(|bytes| bytes.is_some_and(|bytes| str::from_utf8(bytes).is_err()))
}

fn of_columns(batch: &RecordBatch, columns: Vec<ArrayRef>, schema: SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|cause| Error::Invalid(format!("the columns do not fit their schema: {cause}")))
}

fn of_type(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), wanted) {
        // A view of few rows may hold pages of others.
        (DataType::Utf8View, DataType::Utf8View) => Ok(Arc::new(column.as_string_view().gc())),
        (DataType::BinaryView, DataType::BinaryView) => Ok(Arc::new(column.as_binary_view().gc())),
        (given, wanted) if given == wanted => Ok(Arc::clone(column)),
        (given, wanted) if raw_type(given) == raw_type(wanted) => Ok(make_array(renamed(column.to_data(), wanted)?)),
        (_, DataType::Dictionary(_, values)) => cast(&of_type(column, values)?, wanted),
        (DataType::BinaryView, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
            let strings: ArrayRef = Arc::new(column.as_binary_view().clone().to_string_view()?);
            of_type(&strings, wanted)
        }
        (_, wanted) if wanted.is_nested() => {
            // Views in them become bytes, and only then strings: a cast would make nulls of what is not UTF-8.
            let bytes = cast(column, &raw_type(wanted))?;
            Ok(make_array(renamed(bytes.to_data(), wanted)?))
        }
        _ => cast(column, wanted),
    }
}

/// Strings as bytes, or bytes as strings if they are some, wherever they are nested: they lie in memory alike.
fn renamed(data: ArrayData, wanted: &DataType) -> Result<ArrayData, ArrowError> {
    let inside: Vec<&DataType> = match wanted {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => vec![item.data_type()],
        DataType::Dictionary(_, values) => vec![values],
        DataType::RunEndEncoded(ends, values) => vec![ends.data_type(), values.data_type()],
        _ => Vec::new(),
    };
    let children = data.child_data().iter().zip(inside).map(|(child, wanted)| renamed(child.clone(), wanted));
    let children = children.collect::<Result<_, _>>()?;
    data.into_builder().data_type(wanted.clone()).child_data(children).build()
}
