//! Commands: JSON that is nearly right, and anything else.

use arrow::datatypes::{DataType, Field, Schema};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use textflight::table::{ScoreOptions, ScorePlan};
use textflight::{Error, Result};

use super::damage::{damage, damaged};
use super::fuzz;

/// With every option, each in a form that is taken and in one that is not.
const COMMANDS: [&str; 9] = [
    "",
    "{}",
    r#"{"text": "title"}"#,
    r#"{"text": "it.title", "labels": "name", "details": true, "probabilities": true}"#,
    r#"{"text": ["title", "body"], "labels": "id", "columns": "new", "on_error": "null"}"#,
    r#"{"label_column": "sentiment", "confidence_column": "sure", "columns": ["id"], "on_error": "fail"}"#,
    r#"{"text": null, "labels": 1, "details": "true", "columns": {}, "on_error": []}"#,
    r#"{"data": "reviews", "path": "a/b.parquet", "partitions": 4, "limit": 10, "text": "title"}"#,
    r#"{"text": "\u00e9\ud83c\udf89", "text": "title", "colour": [[[[[[]]]]]]}"#,
];

fn schema() -> Schema {
    let below = vec![Field::new("title", DataType::Utf8, true)];
    Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("title", DataType::Utf8, true),
        Field::new("body", DataType::LargeUtf8, true),
        Field::new("it", DataType::Struct(below.into()), true),
    ])
}

/// It is a plan, or the caller's fault, in words.
fn check(command: &[u8]) -> Result<(), TestCaseError> {
    let classes = ["NEGATIVE".to_owned(), "POSITIVE".to_owned()];
    match ScoreOptions::from_command(command).and_then(|options| ScorePlan::new(&schema(), &options, &classes)) {
        Ok(plan) => prop_assert!(plan.new_fields().len() >= 2),
        Err(Error::Invalid(text)) => prop_assert!(!text.is_empty()),
        Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
    }
    Ok(())
}

#[test]
fn commands() {
    fuzz(2000, (select(&COMMANDS[..]), vec(damage(), 1..5)), |(command, damages)| {
        check(&damaged(command.as_bytes(), &damages))
    });
}

#[test]
fn commands_of_any_bytes() {
    fuzz(500, vec(any::<u8>(), 0..200), |bytes| check(&bytes));
}

#[test]
fn commands_that_are_deep_or_long() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[[{\"a\":", "}]]")] {
        for depth in [1, 100, 127, 128, 129, 100_000] {
            let command = format!(r#"{{"columns": {}1{}}}"#, open.repeat(depth), close.repeat(depth));
            check(command.as_bytes()).unwrap();
            check(&command.as_bytes()[..command.len() / 2]).unwrap();
        }
    }
    check(format!(r#"{{"text": "{}"}}"#, "a".repeat(1 << 20)).as_bytes()).unwrap();
}
