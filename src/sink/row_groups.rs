//! Tables that are written whole as Parquet, row group by row group.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::batches::BatchEncoder;
use crate::memory::{Memory, Reservation};
use crate::panics::caught;
use crate::source::parquet::marks::{Marks, with_marks};
use crate::{Error, Result};

/// Beyond so many bytes in memory a row group ends.
const GROUP_BYTES: usize = 16 << 20;

/// What is held of a row group at a time: the pages of its columns, and all of it as it is passed on.
const COPIES: usize = 2;

/// What a leaf column takes before it has values, and what the footer takes of each in a row group, in bytes.
const COLUMN_BYTES: usize = 8 << 10;
const CHUNK_BYTES: usize = 1 << 10;

/// Writes a Parquet file, in ZSTD. Without its footer it is none.
pub struct ParquetEncoder {
    writer: ArrowWriter<Vec<u8>>,
    /// As it is written.
    schema: SchemaRef,
    leaves: usize,
    memory: Reservation,
    /// What chunks say of themselves, but for the first so many.
    marks: Option<(usize, Marks)>,
}

impl ParquetEncoder {
    /// One of a table with these columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for columns that Parquet does not have, and those of [`Memory::try_reserve`].
    pub fn new(schema: SchemaRef, memory: &Memory) -> Result<Self> {
        let fields = schema.fields().iter().map(written_field).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let codec = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(codec).build();
        let refused = |cause: String| Error::Invalid(format!("no Parquet file has such columns: {cause}"));
        let made = caught(|| {
            let leaves = ArrowSchemaConverter::new().convert(&schema)?.num_columns();
            Ok::<_, ParquetError>((ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?, leaves))
        });
        let (writer, leaves) =
            made.map_err(|panicked| refused(panicked.to_string()))?.map_err(|cause| refused(cause.to_string()))?;
        let memory = memory.try_reserve_large(leaves.saturating_mul(COLUMN_BYTES))?;
        Ok(Self { writer, schema, leaves, memory, marks: None })
    }

    /// Has the column chunks of the last `new` columns say this of themselves.
    ///
    /// # Errors
    /// [`Error::Failed`] if there are fewer columns.
    pub fn marked(mut self, new: usize, marks: Marks) -> Result<Self> {
        let fewer = || Error::Failed(format!("{new} columns are new, and there are fewer"));
        let old = self.schema.fields().len().checked_sub(new).ok_or_else(fewer)?;
        let old = Schema::new(self.schema.fields()[..old].to_vec());
        let leaves = ArrowSchemaConverter::new().convert(&old).map_err(|cause| unwritten(&cause))?.num_columns();
        self.marks = (!marks.is_empty()).then_some((leaves, marks));
        Ok(self)
    }

    /// The batch with the types that are written.
    fn as_written(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let columns = batch.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() {
                return Ok(Arc::clone(column));
            }
            cast_with_options(column, field.data_type(), &options)
                .map_err(|cause| Error::Invalid(format!("column {:?} does not fit Parquet: {cause}", field.name())))
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|cause| Error::Failed(format!("columns do not fit: {cause}")))
    }

    /// Holds memory for the row group that is made, and for what the footer will say.
    fn reserve(&self) -> Result<()> {
        let groups = self.writer.flushed_row_groups().len() + 1;
        let fixed = self.leaves.saturating_mul(COLUMN_BYTES + groups.saturating_mul(CHUNK_BYTES));
        self.memory.extend_to(fixed.saturating_add(self.writer.memory_size().saturating_mul(COPIES)))
    }
}

impl BatchEncoder for ParquetEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        self.writer.write(&self.as_written(batch)?).map_err(|cause| unwritten(&cause))?;
        self.reserve()?;
        if self.writer.memory_size() > GROUP_BYTES {
            self.writer.flush().map_err(|cause| unwritten(&cause))?;
        }
        // The writer counts what it has passed on by itself.
        Ok(vec![std::mem::take(self.writer.inner_mut()).into()])
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        let Self { writer, marks, .. } = *self;
        let rest = writer.into_inner().map_err(|cause| unwritten(&cause))?;
        let Some((unmarked, marks)) = marks else { return Ok(vec![rest.into()]) };
        let marked = with_marked_footer(&rest, unmarked, &marks);
        Ok(vec![marked.map_err(|cause| Error::Failed(format!("no footer: {cause}")))?.into()])
    }
}

/// The end of a file, in whose footer the chunks but the first so many of each row group have these marks.
fn with_marked_footer(end: &[u8], unmarked: usize, marks: &Marks) -> Result<Vec<u8>, String> {
    let cut = || "it is cut off".to_owned();
    // Before it ends with the magic, the length of the footer in four bytes.
    let (before, [a, b, c, d, magic @ ..]) = end.split_last_chunk::<8>().ok_or_else(cut)?;
    let start = before.len().checked_sub(u32::from_le_bytes([*a, *b, *c, *d]) as usize).ok_or_else(cut)?;
    let footer = with_marks(&before[start..], unmarked, marks).map_err(|cause| cause.to_string())?;
    let len = u32::try_from(footer.len()).map_err(|_| "it is too large".to_owned())?;
    Ok([&before[..start], &footer, &len.to_le_bytes(), magic].concat())
}

fn written_field(field: &FieldRef) -> FieldRef {
    let data_type = written_type(field.data_type());
    if data_type == *field.data_type() {
        Arc::clone(field)
    } else {
        Arc::new(Field::clone(field).with_data_type(data_type))
    }
}

/// Parquet knows no seconds and no days in milliseconds: it would have bare numbers.
fn written_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Date64 => DataType::Date32,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(written_field).collect()),
        DataType::List(item) => DataType::List(written_field(item)),
        DataType::LargeList(item) => DataType::LargeList(written_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(written_field(item), *length),
        DataType::Map(entries, sorted) => DataType::Map(written_field(entries), *sorted),
        other => other.clone(),
    }
}

fn unwritten(cause: &ParquetError) -> Error {
    Error::Invalid(format!("a row group cannot be written as Parquet: {cause}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Int64Array, ListArray, StringArray, TimestampSecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::compute::concat_batches;
    use arrow::datatypes::{TimestampMillisecondType, UnionFields, UnionMode};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::source::parquet::ParquetFile;
    use crate::source::parquet::marks::last_marks;

    #[test]
    fn row_groups_are_bounded_and_leave_as_they_are_made() {
        // Texts that no dictionary and no codec makes small.
        let mut number = 1_u64;
        let mut text = || {
            let mut next = || {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{:016x}", number ^ number >> 29)
            };
            (0..64).map(|_| next()).collect::<String>()
        };
        let mut batch = |rows: i64| {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| text())));
            RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()
        };
        let batches: Vec<_> = (0..50).map(|_| batch(1000)).collect();
        let memory = Memory::new(256 << 20);
        let mut encoder = Box::new(ParquetEncoder::new(batches[0].schema(), &memory).unwrap());
        let (mut file, mut pieces) = (Vec::new(), 0);
        for batch in &batches {
            let written = encoder.encode(batch).unwrap();
            pieces += usize::from(written.iter().any(|piece| !piece.is_empty()));
            file.extend(written.iter().flat_map(|piece| piece.to_vec()));
        }
        assert!(pieces > 0 && memory.held() > 0 && memory.held() < 128 << 20, "{pieces} {}", memory.held());
        file.extend(encoder.finish().unwrap().iter().flat_map(|piece| piece.to_vec()));
        assert_eq!(memory.held(), 0);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        assert!(reader.metadata().num_row_groups() > 1);
        let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        let schema = batches[0].schema();
        assert_eq!(concat_batches(&schema, &read).unwrap(), concat_batches(&schema, &batches).unwrap());
    }

    #[test]
    fn a_table_of_no_rows_is_a_file() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        let written = Box::new(ParquetEncoder::new(schema, &Memory::default()).unwrap()).finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(written[0].to_vec())).unwrap();
        assert_eq!((reader.metadata().file_metadata().num_rows(), reader.schema().fields().len()), (0, 1));
    }

    #[test]
    fn the_new_chunks_are_marked_and_the_others_are_not() {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("old", Arc::clone(&ids)), ("new", ids)]).unwrap();
        let marks: Marks = vec![("textflight.model".to_owned(), "0af3".to_owned())];
        let written = |encoder: ParquetEncoder| {
            let mut encoder = Box::new(encoder);
            let mut file: Vec<u8> = encoder.encode(&batch).unwrap().iter().flat_map(|piece| piece.to_vec()).collect();
            file.extend(encoder.finish().unwrap().iter().flat_map(|piece| piece.to_vec()));
            file
        };
        let encoder = || ParquetEncoder::new(batch.schema(), &Memory::default()).unwrap();
        let (plain, marked) = (written(encoder()), written(encoder().marked(1, marks.clone()).unwrap()));
        let metadata = |file: Vec<u8>| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
            let metadata = Arc::clone(reader.metadata());
            assert_eq!(reader.build().unwrap().next().unwrap().unwrap(), batch);
            metadata
        };
        assert_eq!(metadata(plain.clone()), metadata(marked.clone()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marked");
        std::fs::write(&path, &marked).unwrap();
        let footer = ParquetFile::open(&path).unwrap().footer().to_vec();
        assert_eq!(last_marks(&footer).unwrap(), vec![marks.clone()]);
        assert!(with_marks(&footer, 0, &marks).is_err() && with_marks(&footer, 1, &marks).is_err());
        assert_eq!(marked.windows(4).filter(|bytes| *bytes == b"0af3").count(), 1);
        assert!(encoder().marked(3, marks).is_err());
    }

    #[test]
    fn columns_that_parquet_has_not_are_refused() {
        let union = DataType::Union(UnionFields::empty(), UnionMode::Dense);
        let schema = Arc::new(Schema::new(vec![Field::new("u", union, true)]));
        let refused = ParquetEncoder::new(schema, &Memory::default());
        assert!(matches!(refused, Err(Error::Invalid(text)) if text.starts_with("no Parquet file has such columns")));
    }

    #[test]
    fn seconds_are_milliseconds() {
        let seconds = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(5), None]).with_timezone("UTC"));
        let item = Arc::new(Field::new("item", seconds, true));
        let lists = ListArray::new(item, OffsetBuffer::from_lengths([2, 0]), Arc::clone(&times), None);
        let columns: [(&str, ArrayRef); 2] = [("time", times), ("times", Arc::new(lists))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut encoder = Box::new(ParquetEncoder::new(batch.schema(), &Memory::default()).unwrap());
        let mut file: Vec<u8> = encoder.encode(&batch).unwrap().iter().flat_map(|piece| piece.to_vec()).collect();
        file.extend(encoder.finish().unwrap().iter().flat_map(|piece| piece.to_vec()));
        let read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
        let read: Vec<_> = read.map(Result::unwrap).collect();
        let of_time = read[0]["time"].as_primitive::<TimestampMillisecondType>();
        assert_eq!((of_time.value(0), of_time.is_null(1), of_time.timezone()), (5000, true, Some("UTC")));
        assert_eq!(read[0]["times"].as_list::<i32>().values().as_primitive::<TimestampMillisecondType>(), of_time);
        let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        let batch = RecordBatch::try_from_iter([("far", far)]).unwrap();
        let error = ParquetEncoder::new(batch.schema(), &Memory::default()).unwrap().encode(&batch).unwrap_err();
        assert!(error.to_string().contains("column \"far\" does not fit Parquet"), "{error}");
    }
}
