//! The Arrow types of a file's columns: as the writer noted them where that note fits the file, else as Parquet has them.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder};

use super::footer::Footer;
use super::unmarked::unmarked;
use crate::panics::caught;
use crate::source::raw::raw_type;

/// A note of the Arrow schema that does not fit the file: the columns changed after it was written, or it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitSchema {
    /// Which entry of the key-value metadata it is.
    pub entry: usize,
    /// What is wrong with it.
    pub cause: String,
}

/// A file's metadata with Arrow's types.
pub struct TypedMetadata {
    /// The columns: by the first fitting entry `ARROW:schema`, as pyarrow takes it, or by Parquet's types.
    pub schema: SchemaRef,
    /// How they are read.
    pub reading: ArrowReaderMetadata,
    /// The entries that do not fit.
    pub unfit: Vec<UnfitSchema>,
}

/// The metadata with Arrow's types.
///
/// # Errors
/// What `parquet` says of columns that have no Arrow type.
pub fn with_types(footer: &Footer<'_>, metadata: ParquetMetaData) -> Result<TypedMetadata, String> {
    let (mut fitting, mut unfit) = (None, Vec::new());
    for (entry, found) in footer.key_values.iter().enumerate() {
        let value = found.value.filter(|_| found.key == ARROW_SCHEMA_META_KEY.as_bytes());
        match value.map(|value| noted_in(metadata.file_metadata(), value)) {
            Some(Ok(noted)) => fitting = fitting.or(Some(noted)),
            Some(Err(cause)) => unfit.push(UnfitSchema { entry, cause }),
            None => {}
        }
    }
    let file = fitting.unwrap_or_else(|| metadata.file_metadata().clone());
    let typed = |file: &FileMetaData, options| {
        ArrowReaderMetadata::try_new(Arc::new(ParquetMetaData::new(file.clone(), Vec::new())), options)
    };
    let unreadable = |cause: ParquetError| format!("its columns cannot be read: {cause}");
    let types = typed(&file, ArrowReaderOptions::new()).map_err(unreadable)?;
    let schema = Arc::clone(types.schema());
    let raw = ArrowReaderOptions::new().with_schema(Arc::new(as_read(&schema)));
    let unmarked = unmarked(&file).and_then(|file| typed(&file, raw.clone()).map(|_| file));
    // A file whose schema cannot be handed back as it was read is read as it is: the same values, only less thriftily.
    let (file, options) = unmarked.map_or_else(|_| (file, ArrowReaderOptions::new()), |file| (file, raw));
    let row_groups = metadata.into_builder().take_row_groups();
    let whole = ParquetMetaDataBuilder::new(file).set_row_groups(row_groups).build();
    let reading = ArrowReaderMetadata::try_new(Arc::new(whole), options).map_err(unreadable)?;
    Ok(TypedMetadata { schema, reading, unfit })
}

/// The file's metadata with this note of an Arrow schema alone, if it fits.
fn noted_in(file: &FileMetaData, note: &[u8]) -> Result<FileMetaData, String> {
    let note = std::str::from_utf8(note).map_err(|cause| cause.to_string())?;
    if note.is_empty() {
        return Err("it is empty".to_owned());
    }
    let noted = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        Some(vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), note.to_owned())]),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let metadata = Arc::new(ParquetMetaData::new(noted.clone(), Vec::new()));
    // The decoder of schemas panics at types that it does not know.
    let typed = caught(|| ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()));
    typed.map_err(|_| "it is damaged".to_owned())?.map_err(|cause| cause.to_string())?;
    Ok(noted)
}

/// How columns are read: strings as bytes that nobody has looked at, and like other bytes as views: a long text that a dictionary
/// holds once is then held once here too, and the keys of a dictionary type cannot run out.
fn as_read(schema: &Schema) -> Schema {
    let raw = |field: &FieldRef| {
        let data_type = field.data_type();
        let raw = if is_view(data_type) { DataType::BinaryView } else { with_views(&raw_type(data_type)) };
        field.as_ref().clone().with_data_type(raw)
    };
    Schema::new_with_metadata(schema.fields().iter().map(raw).collect::<Vec<_>>(), schema.metadata().clone())
}

/// The type with views in place of bytes in lists, maps and structs. Of a dictionary each value is there once as it is.
fn with_views(data_type: &DataType) -> DataType {
    let viewed = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(with_views(field.data_type())));
    match data_type {
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(item) => DataType::List(viewed(item)),
        DataType::LargeList(item) => DataType::LargeList(viewed(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(viewed(item), *length),
        DataType::Map(entries, is_sorted) => DataType::Map(viewed(entries), *is_sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(viewed).collect()),
        other => other.clone(),
    }
}

fn is_view(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_view(values),
        _ => matches!(raw_type(data_type), DataType::Binary | DataType::LargeBinary | DataType::BinaryView),
    }
}
