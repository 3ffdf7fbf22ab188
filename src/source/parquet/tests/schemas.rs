//! The Arrow schema that a file notes in its metadata: what it is worth where it does not fit.

use arrow::datatypes::Schema;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, encode_arrow_schema};

use super::*;

/// Writes a file of `id` and `text` with these values of `ARROW:schema`, and opens it.
fn with_arrow_schemas(folder: &Path, values: &[Option<String>]) -> ParquetFile {
    let path = folder.join("in.parquet");
    let (text, id): (ArrayRef, ArrayRef) =
        (Arc::new(StringArray::from(vec!["fine"])), Arc::new(Int64Array::from(vec![7])));
    let batch = RecordBatch::try_from_iter([("id", id), ("text", text)]).unwrap();
    let entries = values.iter().map(|value| KeyValue::new("ARROW:schema".to_owned(), value.clone())).collect();
    let properties = WriterProperties::builder().set_key_value_metadata(Some(entries)).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create(&path).unwrap(), batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    ParquetFile::open(&path).unwrap()
}

fn arrow_schema(fields: &[(&str, DataType)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    encode_arrow_schema(&Schema::new(fields))
}

#[test]
fn an_arrow_schema_that_fits_gives_the_types() {
    let folder = tempfile::tempdir().unwrap();
    let large = arrow_schema(&[("id", DataType::Int64), ("text", DataType::LargeUtf8)]);
    let view = arrow_schema(&[("id", DataType::Int64), ("text", DataType::Utf8View)]);
    for values in [vec![Some(large.clone())], vec![None, Some(large.clone())], vec![Some(large), Some(view)]] {
        let source = with_arrow_schemas(folder.path(), &values);
        assert_eq!(source.schema().field(1).data_type(), &DataType::LargeUtf8);
        assert_eq!(source.unfit_schemas(), []);
    }
}

#[test]
fn an_arrow_schema_that_does_not_fit_gives_way_to_the_parquet_schema() {
    let folder = tempfile::tempdir().unwrap();
    let (id, text) = (("id", DataType::Int64), ("text", DataType::LargeUtf8));
    let good = arrow_schema(&[id.clone(), text.clone()]);
    let cases = [
        ("more columns", arrow_schema(&[id.clone(), ("gone", DataType::Utf8), text.clone()])),
        ("fewer columns", arrow_schema(std::slice::from_ref(&id))),
        ("another order", arrow_schema(&[text.clone(), id.clone()])),
        ("another name", arrow_schema(&[id.clone(), ("review", DataType::LargeUtf8)])),
        ("cut off", good[..good.len() / 2].to_owned()),
        ("no base64", "!?".to_owned()),
        ("no message", "aGVsbG8gd29ybGQ=".to_owned()),
        ("empty", String::new()),
    ];
    for (what, value) in cases {
        let source = with_arrow_schemas(folder.path(), &[Some(value.clone())]);
        assert_eq!(source.schema().field(1).data_type(), &DataType::Utf8, "{what}");
        assert_eq!(source.unfit_schemas().len(), 1, "{what}");
        let source = with_arrow_schemas(folder.path(), &[Some(value), Some(good.clone())]);
        assert_eq!(source.schema().field(1).data_type(), &DataType::LargeUtf8, "{what}, and one that fits");
        assert_eq!(source.unfit_schemas().iter().map(|unfit| unfit.entry).collect::<Vec<_>>(), [0], "{what}");
    }
    let source = with_arrow_schemas(folder.path(), &[None]);
    assert_eq!((source.schema().field(1).data_type(), source.unfit_schemas()), (&DataType::Utf8, &[][..]));
}

/// Types in the note that are not the file's are a hint that is not taken.
#[test]
fn an_arrow_schema_of_other_types_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let other = arrow_schema(&[("id", DataType::Utf8), ("text", DataType::Float32)]);
    let source = with_arrow_schemas(folder.path(), &[Some(other)]);
    let types: Vec<_> = source.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
}
