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
