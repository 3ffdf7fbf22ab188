//! Strings that Parquet's reader takes for bytes. It refuses a row group as a whole for one that is not UTF-8, and what it takes for
//! a string by the note of an Arrow schema alone, or for JSON, it does not look at: as bytes each is looked at here.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::schema::types::{BasicTypeInfo, SchemaDescriptor, Type, TypePtr};

/// The file's metadata without the marks that say that bytes are strings.
///
/// # Errors
/// What `parquet` says of a type that cannot be.
pub fn unmarked(file: &FileMetaData) -> Result<FileMetaData, ParquetError> {
    let root = without_marks(&file.schema_descr().root_schema_ptr())?;
    Ok(FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(root)),
        file.column_orders().cloned(),
    ))
}

fn without_marks(of: &TypePtr) -> Result<TypePtr, ParquetError> {
    let info = of.get_basic_info();
    match of.as_ref() {
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(without_marks).collect::<Result<_, _>>()?;
            let group = Type::group_type_builder(of.name())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(info.has_id().then(|| info.id()))
                .with_fields(fields);
            let group = if info.has_repetition() { group.with_repetition(info.repetition()) } else { group };
            group.build().map(Arc::new)
        }
        Type::PrimitiveType { physical_type: PhysicalType::BYTE_ARRAY, .. } if is_string(info) => {
            let bytes = Type::primitive_type_builder(of.name(), PhysicalType::BYTE_ARRAY)
                .with_repetition(info.repetition())
                .with_id(info.has_id().then(|| info.id()));
            bytes.build().map(Arc::new)
        }
        Type::PrimitiveType { .. } => Ok(Arc::clone(of)),
    }
}

fn is_string(info: &BasicTypeInfo) -> bool {
    match info.logical_type_ref() {
        Some(logical) => matches!(logical, LogicalType::String | LogicalType::Json),
        None => matches!(info.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON),
    }
}
