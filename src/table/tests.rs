use std::collections::HashMap;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, LargeStringArray, NullArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Schema, UInt32Type, UInt64Type};

use super::*;
use crate::classifier::{Score, Scores};
use crate::{Error, Result};

const CLASSES: [&str; 2] = ["NEGATIVE", "POSITIVE"];

fn plan(schema: &Schema, options: &str) -> Result<ScorePlan> {
    ScorePlan::new(schema, &ScoreOptions::from_command(options.as_bytes())?, &CLASSES.map(str::to_owned))
}

fn schema(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
}

fn error(schema: &Schema, options: &str) -> String {
    match plan(schema, options) {
        Err(Error::Invalid(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The only column of texts of a batch that has others besides.
fn texts(plan: &ScorePlan, column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let ids: ArrayRef = Arc::new(NullArray::new(column.len()));
    let batch = RecordBatch::try_from_iter_with_nullable([("t", Arc::clone(column), true), ("id", ids, true)]).unwrap();
    let texts = plan.texts(&batch)?.remove(0);
    let text = |(_, text): (usize, Option<usize>)| text.filter(|text| texts.values.is_valid(*text));
    Ok(texts.layout.walk(texts.values.len()).map(text).map(|t| t.map(|t| texts.values.value(t).to_owned())).collect())
}

#[test]
fn every_string_type_is_text() {
    let values = [Some("a"), None, Some("ünï")];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(values.to_vec())),
        Arc::new(LargeStringArray::from(values.to_vec())),
        Arc::new(StringViewArray::from_iter(values)),
        Arc::new(values.into_iter().collect::<DictionaryArray<Int8Type>>()),
        Arc::new(values.into_iter().collect::<DictionaryArray<UInt32Type>>()),
        Arc::new(values.into_iter().collect::<DictionaryArray<UInt64Type>>()),
    ];
    for column in columns {
        let plan = plan(&schema(&[("t", column.data_type().clone()), ("id", DataType::Int32)]), "").unwrap();
        assert_eq!(texts(&plan, &column).unwrap(), values.map(|t| t.map(str::to_owned)));
    }
}

#[test]
fn a_column_of_nulls_is_text_when_it_is_named() {
    let schema = schema(&[("t", DataType::Null)]);
    assert!(error(&schema, "").contains("no string column; columns: t (null)"));
    let plan = plan(&schema, r#"{"text": "t"}"#).unwrap();
    let column: ArrayRef = Arc::new(NullArray::new(3));
    assert_eq!(texts(&plan, &column).unwrap(), [None, None, None]);
}

#[test]
fn a_column_of_bytes_is_text_when_it_is_named() {
    let schema = schema(&[("t", DataType::Binary), ("n", DataType::Int64)]);
    let hint = "bytes that are UTF-8 are scored where \"text\" (--text on the command line) names them";
    assert_eq!(error(&schema, ""), format!("no string column; columns: t (binary), n (int64); {hint}"));
    let plan = plan(&schema, r#"{"text": "t"}"#).unwrap();
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"good", b"bad!"]));
    assert_eq!(texts(&plan, &column).unwrap()[1].as_deref(), Some("bad!"));
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([&b"good"[..], b"\xff"]));
    assert!(matches!(texts(&plan, &column), Err(Error::NotText { row: 1, .. })));
}

#[test]
fn bytes_beside_a_string_column_are_not_meant() {
    let schema = schema(&[("raw", DataType::Binary), ("t", DataType::Utf8)]);
    assert_eq!(plan(&schema, "").unwrap().text_columns().collect::<Vec<_>>(), [1]);
}

#[test]
fn says_which_columns_there_are() {
    let two = schema(&[("title", DataType::Utf8), ("body", DataType::LargeUtf8), ("n", DataType::Int64)]);
    assert_eq!(error(&two, r#"{"text": "review"}"#), "column \"review\" not found; string columns: title, body");
    assert!(error(&two, "").contains("more than one string column: title, body"));
    assert!(error(&two, r#"{"text": "n"}"#).contains("column \"n\" is int64, not text; string columns: title, body"));
    let none = schema(&[("n", DataType::Int64)]);
    assert!(error(&none, "").contains("no string column; columns: n (int64)"));
    assert!(error(&none, r#"{"text": "t"}"#).contains("there is none; columns: n (int64)"));
    assert!(error(&Schema::empty(), "").contains("no string column; columns: none"));
    let twice = schema(&[("t", DataType::Utf8), ("t", DataType::Utf8)]);
    assert!(error(&twice, r#"{"text": "t"}"#).contains("more than one column is called \"t\""));
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let taken = schema(&[("t", DataType::Utf8), ("label", DataType::Int64), ("tokens", DataType::Int64)]);
    assert!(error(&taken, "").contains("already has a column \"label\""));
    let renamed = r#"{"label_column": "mood", "confidence_column": "sure"}"#;
    assert_eq!(plan(&taken, renamed).unwrap().new_fields()[0].name(), "mood");
    assert!(error(&taken, r#"{"label_column": "mood", "details": true}"#).contains("\"tokens\""));
    let same = r#"{"label_column": "x", "confidence_column": "x"}"#;
    assert!(error(&schema(&[("t", DataType::Utf8)]), same).contains("two new columns would be called \"x\""));
}

#[test]
fn options_that_nobody_knows_are_refused() {
    let one = schema(&[("t", DataType::Utf8)]);
    assert!(plan(&one, " {} ").is_ok());
    for (options, expected) in [
        (r#"{"column": "t"}"#, "unknown field `column`"),
        (r#"{"labels": "number"}"#, "unknown variant `number`"),
        (r#"{"details": "yes"}"#, "invalid type"),
        ("[]", "the command is not a JSON object"),
        ("t", "the command is not a JSON object"),
        ("\u{0}", "the command is not a JSON object"),
    ] {
        assert!(error(&one, options).contains(expected), "{options}: {}", error(&one, options));
    }
}

fn scored(plan: &ScorePlan, batch: &RecordBatch, scores: &Scores) -> Result<RecordBatch> {
    let texts = plan.texts(batch)?;
    plan.append(batch, plan.columns(&texts, std::slice::from_ref(scores), batch.num_rows())?)
}

#[test]
fn appends_what_was_asked_for() {
    let metadata = HashMap::from([("pandas".to_owned(), "{}".to_owned())]);
    let schema = schema(&[("t", DataType::Utf8)]).with_metadata(metadata.clone());
    let batch = RecordBatch::try_new(
        Arc::new(schema.clone()),
        vec![Arc::new(StringArray::from(vec![Some("good"), None])) as ArrayRef],
    )
    .unwrap();
    let mut scores = Scores::nulls(2, 2);
    scores.set(0, &Score { label: 1, probabilities: Box::new([0.25, 0.75]) }, 300, true);

    let plain = scored(&plan(&schema, "").unwrap(), &batch, &scores).unwrap();
    assert_eq!(plain.schema().metadata(), &metadata);
    assert_eq!(plain["label"].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("POSITIVE"), None]);
    let confidence = plain["confidence"].as_primitive::<arrow::datatypes::Float32Type>();
    assert_eq!(confidence.iter().collect::<Vec<_>>(), [Some(0.75), None]);

    let all = r#"{"text": "t", "labels": "id", "details": true, "probabilities": true}"#;
    let full = scored(&plan(&schema, all).unwrap(), &batch, &scores).unwrap();
    let names: Vec<_> = full.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["t", "label", "confidence", "tokens", "truncated", "probabilities"]);
    let ids = full["label"].as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(1), None]);
    let tokens = full["tokens"].as_primitive::<arrow::datatypes::Int32Type>();
    assert_eq!(tokens.iter().collect::<Vec<_>>(), [Some(300), None]);
    assert_eq!(full["truncated"].as_boolean().iter().collect::<Vec<_>>(), [Some(true), None]);
    let lists = full["probabilities"].as_fixed_size_list();
    assert_eq!(lists.value(0).as_primitive::<arrow::datatypes::Float32Type>().values(), &[0.25, 0.75]);
    assert!(lists.is_null(1));
}

#[test]
fn scores_of_another_model_are_refused() {
    let plan = plan(&schema(&[("t", DataType::Utf8)]), "").unwrap();
    let column: ArrayRef = Arc::new(StringArray::from(vec!["good"]));
    let batch = RecordBatch::try_from_iter_with_nullable([("t", column, true)]).unwrap();
    assert!(matches!(scored(&plan, &batch, &Scores::nulls(1, 3)), Err(Error::Failed(_))));
}
