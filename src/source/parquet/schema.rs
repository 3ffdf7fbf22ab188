//! The Arrow types of a file's columns: as the writer noted them where that note fits the file, else as Parquet has them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder};

use super::footer::Footer;
use crate::panics::caught;

/// A note of the Arrow schema that does not fit the file: the columns changed after it was written, or it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitSchema {
    /// Which entry of the key-value metadata it is.
    pub entry: usize,
    /// What is wrong with it.
    pub cause: String,
}

/// The metadata with Arrow's types: by the first fitting entry `ARROW:schema`, as pyarrow takes it, or by Parquet's types. With
/// it come the entries that do not fit.
///
/// # Errors
/// What `parquet` says of columns that have no Arrow type.
pub fn with_types(
    footer: &Footer<'_>,
    metadata: ParquetMetaData,
) -> Result<(ArrowReaderMetadata, Vec<UnfitSchema>), String> {
    let (mut fitting, mut unfit) = (None, Vec::new());
    for (entry, found) in footer.key_values.iter().enumerate() {
        let value = found.value.filter(|_| found.key == ARROW_SCHEMA_META_KEY.as_bytes());
        match value.map(|value| noted_in(metadata.file_metadata(), value)) {
            Some(Ok(noted)) => fitting = fitting.or(Some(noted)),
            Some(Err(cause)) => unfit.push(UnfitSchema { entry, cause }),
            None => {}
        }
    }
    let metadata = match fitting {
        Some(noted) => {
            let row_groups = metadata.into_builder().take_row_groups();
            ParquetMetaDataBuilder::new(noted).set_row_groups(row_groups).build()
        }
        None => metadata,
    };
    let typed = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new());
    Ok((typed.map_err(|cause| cause.to_string())?, unfit))
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

/// The metadata with strings and bytes of these columns read as views: a long text that a dictionary holds once is then
/// held once here too, and the keys of a dictionary type cannot run out.
pub fn with_views(metadata: &ArrowReaderMetadata, columns: &[usize]) -> ArrowReaderMetadata {
    let schema = metadata.schema();
    let columns: HashSet<_> = columns.iter().copied().collect();
    let view = |(index, field): (usize, &FieldRef)| match view_of(field.data_type()) {
        Some(view) if columns.contains(&index) => Arc::new(field.as_ref().clone().with_data_type(view)),
        _ => Arc::clone(field),
    };
    let fields: Vec<_> = schema.fields().iter().enumerate().map(view).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let viewed = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options);
    // A file whose schema cannot be handed back as it was read is read as it is: the same values, only less thriftily.
    viewed.unwrap_or_else(|_| metadata.clone())
}

fn view_of(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(DataType::BinaryView),
        DataType::Dictionary(_, values) => view_of(values),
        _ => None,
    }
}
