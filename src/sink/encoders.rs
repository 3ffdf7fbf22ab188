//! What writes a table whole, by its format.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::batches::{ArrowEncoder, ArrowFileEncoder, BatchEncoder};
use super::row_groups::ParquetEncoder;
use super::texts::{CsvRows, JsonRows};
use crate::Result;
use crate::format::TableFormat;
use crate::memory::Memory;

/// What writes tables of these columns in that format.
///
/// # Errors
/// [`crate::Error::Invalid`] for columns that it does not carry, and those of [`Memory::try_reserve`].
pub fn batch_encoder(format: TableFormat, schema: &SchemaRef, memory: &Memory) -> Result<Box<dyn BatchEncoder>> {
    Ok(match format {
        TableFormat::Parquet => Box::new(ParquetEncoder::new(Arc::clone(schema), memory)?),
        TableFormat::ArrowStream => Box::new(ArrowEncoder::new(schema)?),
        TableFormat::ArrowFile => Box::new(ArrowFileEncoder::new(schema)?),
        TableFormat::JsonLines => Box::new(JsonRows::new(schema)?),
        TableFormat::Csv => Box::new(CsvRows::new(schema, b',')?),
        TableFormat::Tsv => Box::new(CsvRows::new(schema, b'\t')?),
    })
}
