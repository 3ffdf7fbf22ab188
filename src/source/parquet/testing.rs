//! Parquet files for the tests of this module.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Int64Array, LargeStringArray,
    ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::array::{Int32Array, Int32Builder};
use arrow::datatypes::{DataType, Field, Fields, Int8Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;

/// Rows of every kind of column that a splice could get wrong, some null.
pub(crate) fn rows(count: usize) -> RecordBatch {
    let each = |row: usize| (row % 5 != 3).then_some(row);
    let text: StringArray = (0..count).map(|row| each(row).map(|row| format!("review number {row}"))).collect();
    let id: Int64Array = (0..count as i64).map(Some).collect();
    let kind: DictionaryArray<Int8Type> = (0..count).map(|row| each(row).map(|row| ["a", "b", "c"][row % 3])).collect();
    let flag: BooleanArray = (0..count).map(|row| each(row).map(|row| row % 2 == 0)).collect();
    let price = Decimal128Array::from_iter((0..count).map(|row| each(row).map(|row| row as i128 * 7)));
    let price = price.with_precision_and_scale(12, 2).unwrap();
    let when: TimestampMicrosecondArray = (0..count).map(|row| each(row).map(|row| row as i64 * 1_000_000)).collect();
    let bytes = BinaryArray::from_iter((0..count).map(|row| each(row).map(usize::to_le_bytes)));
    let long: LargeStringArray = (0..count).map(|row| Some("long ".repeat(row % 50))).collect();
    let columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("id", DataType::Int64, false), Arc::new(id)),
        (field("text", &text), Arc::new(text)),
        (field("kind", &kind), Arc::new(kind)),
        (field("flag", &flag), Arc::new(flag)),
        (field("price", &price), Arc::new(price)),
        column("when", Arc::new(when.with_timezone("Europe/Berlin"))),
        (field("bytes", &bytes), Arc::new(bytes)),
        (field("long", &long), Arc::new(long)),
        column("list", lists(count)),
        column("struct", structs(count)),
        column("map", maps(count)),
    ];
    let (mut fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let note = HashMap::from([("unit".to_owned(), "euro".to_owned())]);
    fields[4] = fields[4].clone().with_metadata(note);
    let pandas = HashMap::from([("pandas".to_owned(), r#"{"index_columns": []}"#.to_owned())]);
    RecordBatch::try_new(Arc::new(Schema::new_with_metadata(fields, pandas)), columns).unwrap()
}

fn field(name: &str, array: &dyn arrow::array::Array) -> Field {
    Field::new(name, array.data_type().clone(), true)
}

fn column(name: &str, array: ArrayRef) -> (Field, ArrayRef) {
    (field(name, &array), array)
}

fn lists(count: usize) -> ArrayRef {
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..count {
        match row % 4 {
            0 => lists.append_null(),
            len => lists.append_value((1..len as i32).map(|item| (item != 2).then_some(item))),
        }
    }
    Arc::new(lists.finish())
}

fn structs(count: usize) -> ArrayRef {
    let a: Int32Array = (0..count as i32).map(|row| (row % 3 != 0).then_some(row)).collect();
    let b: StringArray = (0..count).map(|row| Some(format!("b{row}"))).collect();
    let fields = vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)];
    Arc::new(StructArray::new(Fields::from(fields), vec![Arc::new(a), Arc::new(b)], None))
}

fn maps(count: usize) -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..count {
        for key in 0..row % 3 {
            maps.keys().append_value(format!("k{key}"));
            maps.values().append_value(row as i32);
        }
        maps.append(row % 7 != 0).unwrap();
    }
    Arc::new(maps.finish())
}

/// Writes `batch` in row groups of these sizes.
pub(crate) fn write(path: &Path, batch: &RecordBatch, groups: &[usize], properties: WriterProperties) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    let mut at = 0;
    for rows in groups {
        writer.write(&batch.slice(at, *rows)).unwrap();
        writer.flush().unwrap();
        at += rows;
    }
    assert_eq!(at, batch.num_rows(), "the row groups hold all rows");
    writer.close().unwrap();
}

/// The footer decoded, page indexes included.
pub(crate) fn metadata(path: &Path) -> ArrowReaderMetadata {
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional).with_encoding_stats_as_mask(false);
    ArrowReaderMetadata::load(&File::open(path).unwrap(), options).unwrap()
}

/// All rows as one batch.
pub(crate) fn read(path: &Path) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// Made-up score columns.
pub(crate) fn scores(count: usize) -> RecordBatch {
    let label: StringArray =
        (0..count).map(|row| (row % 5 != 3).then_some(["NEGATIVE", "POSITIVE"][row % 2])).collect();
    let confidence: Float32Array = (0..count).map(|row| (row % 5 != 3).then_some(row as f32 / 7.0)).collect();
    let columns = vec![column("label", Arc::new(label)), column("confidence", Arc::new(confidence))];
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}
