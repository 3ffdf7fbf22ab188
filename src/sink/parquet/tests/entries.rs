//! The metadata of a file: what tools have written there stays, and learns of the new columns.

use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::encode_arrow_schema;
use parquet::file::metadata::SortingColumn;

use super::*;

#[test]
fn key_values_and_sorting_columns_stay() {
    let entries = vec![
        KeyValue::new("pandas".to_owned(), "{}".to_owned()),
        KeyValue::new("first".to_owned(), "1".to_owned()),
        KeyValue::new("nothing".to_owned(), None::<String>),
        KeyValue::new("first".to_owned(), "again".to_owned()),
    ];
    let sorting = vec![SortingColumn { column_idx: 0, descending: true, nulls_first: false }];
    let properties = properties()
        .set_created_by("parquet-mr version 1.8.0 (build x)".to_owned())
        .set_key_value_metadata(Some(entries))
        .set_sorting_columns(Some(sorting));
    let spliced = check(&[10, 10], properties);
    let (old, new) = (metadata(&spliced.input), metadata(&spliced.output));
    let entries = |metadata: &parquet::arrow::arrow_reader::ArrowReaderMetadata| {
        let mut entries = metadata.metadata().file_metadata().key_value_metadata().unwrap().clone();
        entries.retain(|entry| entry.key != "ARROW:schema");
        entries
    };
    assert_eq!(entries(&new).len(), 4);
    assert_eq!(entries(&new), entries(&old));
}

#[test]
fn spark_learns_of_the_new_columns() {
    let schema = r#"{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}}]}"#;
    let entry = KeyValue::new(SPARK.to_owned(), schema.to_owned());
    let spliced = check(&[10], properties().set_key_value_metadata(Some(vec![entry])));
    let metadata = metadata(&spliced.output);
    let entries = metadata.metadata().file_metadata().key_value_metadata().unwrap();
    let value = entries.iter().find(|entry| entry.key == SPARK).unwrap().value.clone().unwrap();
    let schema: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(schema["fields"][0]["type"], "long");
    assert_eq!(schema["fields"][1].to_string(), r#"{"name":"label","type":"string","nullable":true,"metadata":{}}"#);
    assert_eq!(schema["fields"][2]["type"], "float");
}

/// Writes a file with these entries of metadata and none of Arrow's, and splices made-up scores to it.
fn with_entries(entries: Vec<KeyValue>) -> (TempDir, Vec<KeyValue>) {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    let options = ArrowWriterOptions::new()
        .with_properties(properties().set_key_value_metadata(Some(entries)).build())
        .with_skip_arrow_metadata(true);
    let text = RecordBatch::try_from_iter([("text", rows(5)["text"].clone())]).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(File::create(&input).unwrap(), text.schema(), options).unwrap();
    writer.write(&text).unwrap();
    writer.close().unwrap();
    splice(&input, &output, &scores(5), 5).unwrap();
    let footer = metadata(&output).metadata().file_metadata().clone();
    (folder, footer.key_value_metadata().cloned().unwrap_or_default())
}

fn entry(key: &str, value: Option<&str>) -> KeyValue {
    KeyValue::new(key.to_owned(), value.map(str::to_owned))
}

#[test]
fn an_arrow_schema_that_does_not_fit_goes_and_the_others_stay() {
    let text = encode_arrow_schema(&Schema::new(vec![Field::new("text", DataType::LargeUtf8, true)]));
    let all = vec![
        entry("first", Some("1")),
        entry("ARROW:schema", Some("!")),
        entry("ARROW:schema", None),
        entry("ARROW:schema", Some(&text)),
        entry("last", None),
    ];
    let (folder, entries) = with_entries(all);
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["first", "ARROW:schema", "ARROW:schema", "last"]);
    assert_eq!((&entries[0].value, &entries[1].value), (&Some("1".to_owned()), &None));
    let read = read(&folder.path().join("out.parquet"));
    assert_eq!(read["text"].data_type(), &DataType::LargeUtf8, "the one that fits has learned of the new columns");
    assert_eq!(read["confidence"].data_type(), &DataType::Float32);
    let (_folder, entries) = with_entries(vec![entry("ARROW:schema", Some(""))]);
    assert_eq!(entries, []);
}

#[test]
fn a_schema_that_is_unreadable_stays() {
    let all =
        vec![entry(SPARK, Some("{}")), entry(SPARK, None), entry("pandas", Some("?")), entry("avro.schema", Some(""))];
    assert_eq!(with_entries(all.clone()).1, all);
}

#[test]
fn every_schema_of_a_file_learns_of_the_new_columns() {
    let spark = r#"{"type":"struct","fields":[]}"#;
    let avro = r#"{"type":"record","name":"r","fields":[]}"#;
    let all = vec![entry(SPARK, Some(spark)), entry(SPARK, Some(spark)), entry("parquet.avro.schema", Some(avro))];
    for entry in with_entries(all).1 {
        assert!(entry.value.unwrap().contains("\"name\":\"confidence\""), "{}", entry.key);
    }
}
