//! Columns that were read as views, as the types that their table has.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};

use crate::{Error, Result};

/// The batch with the types of `schema`, which has the same columns: views become what they are views of.
///
/// # Errors
/// [`Error::Invalid`] for a column whose values its own type cannot hold: a dictionary of more values than its keys count.
pub fn typed(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| {
        of_type(column, field.data_type())
            .map_err(|cause| Error::Invalid(format!("column {:?} does not fit its type: {cause}", field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|cause| Error::Invalid(format!("the columns do not fit their schema: {cause}")))
}

fn of_type(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    match (column.data_type(), wanted) {
        // A view of few rows may hold pages of others.
        (DataType::Utf8View, DataType::Utf8View) => Ok(Arc::new(column.as_string_view().gc())),
        (DataType::BinaryView, DataType::BinaryView) => Ok(Arc::new(column.as_binary_view().gc())),
        (given, wanted) if given == wanted => Ok(Arc::clone(column)),
        (_, DataType::Dictionary(_, values)) => cast(&of_type(column, values)?, wanted),
        _ => cast(column, wanted),
    }
}

/// Bytes that the batch will take once it is [`typed`]: a view that is there a thousand times is then held as often.
pub fn typed_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(|length| length as usize + 16).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(|length| length as usize + 16).sum(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    batch.columns().iter().map(bytes).sum()
}
