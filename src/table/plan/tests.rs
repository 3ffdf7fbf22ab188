//! Which columns come back, and what becomes of rows that have no score.

use arrow::array::{Array, AsArray, BinaryArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::*;
use crate::classifier::Score;
use crate::table::TextColumns;

fn plan(schema: &Schema, options: &str) -> Result<ScorePlan> {
    ScorePlan::new(schema, &ScoreOptions::from_command(options.as_bytes())?, &["NO", "YES"].map(str::to_owned))
}

/// `id`, `text`, `label` and `n`, of which the label is not ours.
fn batch() -> RecordBatch {
    let numbers = || Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
    let texts = Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef;
    RecordBatch::try_from_iter([("id", numbers()), ("text", texts), ("label", numbers()), ("n", numbers())]).unwrap()
}

/// Each text of class 1, but for those that have no score.
fn scores(texts: &ColumnTexts, missed: &[usize]) -> Scores {
    let mut scores = Scores::nulls(texts.values.len(), 2);
    for text in (0..texts.values.len()).filter(|text| texts.values.is_valid(*text)) {
        if missed.contains(&text) {
            scores.miss(text, "no score".to_owned());
        } else {
            scores.set(text, &Score { label: 1, probabilities: Box::new([0.25, 0.75]) }, 3, false);
        }
    }
    scores
}

fn scored(plan: &ScorePlan, batch: &RecordBatch, missed: &[usize]) -> Result<RecordBatch> {
    let texts = plan.texts(batch)?;
    let scores: Vec<_> = texts.iter().map(|texts| scores(texts, missed)).collect();
    plan.append(batch, plan.columns(&texts, &scores, batch.num_rows())?)
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

#[track_caller]
fn check(columns: &str, expected: &[&str], inputs: &[usize]) {
    let batch = batch();
    let plan = plan(&batch.schema(), &format!(r#"{{"columns": {columns}}}"#)).unwrap();
    assert_eq!(plan.inputs(), inputs);
    let whole = scored(&plan, &batch, &[]).unwrap();
    assert_eq!(names(&whole), expected);
    assert_eq!(whole.schema(), plan.schema());
    // A source that reads no more than it must gives the same.
    let part = batch.project(&plan.inputs()).unwrap();
    assert_eq!(scored(&plan.of_inputs(), &part, &[]).unwrap(), whole);
}

#[test]
fn the_named_columns_come_first_in_the_order_of_the_list() {
    check(r#""new""#, &["label", "confidence"], &[1]);
    check("[]", &["label", "confidence"], &[1]);
    check(r#"["n", "id"]"#, &["n", "id", "label", "confidence"], &[0, 1, 3]);
    check(r#"["text"]"#, &["text", "label", "confidence"], &[1]);
    check(r#"["n", "text", "id"]"#, &["n", "text", "id", "label", "confidence"], &[0, 1, 3]);
}

#[track_caller]
fn check_refused(options: &str, expected: &str) {
    let error = plan(&batch().schema(), options).unwrap_err();
    assert!(matches!(&error, Error::Invalid(_)) && error.to_string().contains(expected), "{error}");
}

#[test]
fn columns_that_cannot_be_are_refused() {
    let all = "columns: id (int64), text (string), label (int64), n (int64)";
    for no_columns in ["{}", r#"{"columns": null}"#, r#"{"columns": "all"}"#] {
        if no_columns.contains("null") {
            check_refused(no_columns, "expected \"all\", \"new\", or a list of columns");
        } else {
            check_refused(no_columns, "already has a column \"label\"; choose another name with \"label_column\"");
        }
    }
    check_refused(r#"{"columns": ["label"]}"#, "already has a column \"label\"");
    check_refused(r#"{"columns": ["id", "nope"]}"#, &format!("\"nope\", which \"columns\" names, not found; {all}"));
    check_refused(r#"{"columns": ["id", "n", "id"]}"#, &format!("\"columns\" names \"id\" twice; {all}"));
    check_refused(r#"{"columns": "none"}"#, "unknown \"columns\" \"none\", expected \"all\", \"new\", or a list");
    check_refused(r#"{"columns": [1]}"#, "expected a string");
    check_refused(r#"{"columns": {}}"#, "expected \"all\", \"new\", or a list of columns");
}

#[test]
fn a_name_that_two_columns_have_cannot_be_named() {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![field("n", DataType::Int8), field("n", DataType::Int8), field("t", DataType::Utf8)]);
    let error = plan(&schema, r#"{"columns": ["n"]}"#).unwrap_err().to_string();
    assert!(error.contains("more than one column is called \"n\", which \"columns\" names"), "{error}");
    assert_eq!(plan(&schema, "").unwrap().schema().fields().len(), 5);
}

#[test]
fn a_row_without_a_score_fails_the_request_or_gets_nulls() {
    let batch = batch();
    let fails = plan(&batch.schema(), r#"{"columns": "new"}"#).unwrap();
    let error = scored(&fails, &batch, &[2, 1]).unwrap_err();
    assert!(matches!(error, Error::Unscorable { row: 1, .. }), "{error}");

    let command = r#"{"columns": "new", "on_error": "null", "details": true, "probabilities": true}"#;
    let lenient = plan(&batch.schema(), command).unwrap();
    let found = scored(&lenient, &batch, &[1]).unwrap();
    assert_eq!(names(&found), ["label", "confidence", "tokens", "truncated", "probabilities", "error"]);
    let errors = found["error"].as_string::<i32>();
    assert_eq!(errors.iter().collect::<Vec<_>>(), [None, Some("no score"), None]);
    for name in ["label", "confidence", "tokens", "truncated", "probabilities"] {
        assert_eq!((0..3).map(|row| found[name].is_null(row)).collect::<Vec<_>>(), [false, true, false], "{name}");
    }
    let well = scored(&lenient, &batch, &[]).unwrap();
    assert_eq!((well["error"].null_count(), well["error"].data_type()), (3, &DataType::Utf8));
}

#[test]
fn of_several_columns_the_one_without_a_score_is_named() {
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("a", text(["x", "y"])), ("b", text(["z", "w"]))]).unwrap();
    let plan = plan(&batch.schema(), r#"{"text": ["a", "b"]}"#).unwrap();
    let texts = plan.texts(&batch).unwrap();
    let error = plan.columns(&texts, &[scores(&texts[0], &[]), scores(&texts[1], &[1])], 2).unwrap_err();
    assert!(matches!(&error, Error::Unscorable { row: 1, cause } if cause == "column \"b\": no score"), "{error}");
}

#[test]
fn bytes_that_are_no_text_fail_the_request_or_get_nulls() {
    let column: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"a"), None, Some(b"\xff"), Some(b"b")]));
    let batch = RecordBatch::try_from_iter_with_nullable([("raw", column, true)]).unwrap();
    let fails = plan(&batch.schema(), r#"{"text": "raw"}"#).unwrap();
    let error = scored(&fails, &batch, &[]).unwrap_err();
    assert!(matches!(error, Error::NotText { row: 2, .. }), "{error}");
    let lenient = plan(&batch.schema(), r#"{"text": "raw", "on_error": "null"}"#).unwrap();
    let found = scored(&lenient, &batch, &[3]).unwrap();
    assert_eq!(found["label"].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("YES"), None, None, None]);
    let errors: Vec<_> = found["error"].as_string::<i32>().iter().collect();
    assert_eq!(errors[..2], [None, None]);
    assert!(errors[2].unwrap().starts_with("invalid utf-8") && errors[3] == Some("no score"), "{errors:?}");
}

#[test]
fn the_name_of_the_error_column_may_be_taken() {
    let field = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![field("t"), field("error")]);
    assert!(plan(&schema, r#"{"text": "t"}"#).is_ok());
    let error = plan(&schema, r#"{"text": "t", "on_error": "null"}"#).unwrap_err().to_string();
    assert!(error.contains("already has a column \"error\"; rename it"), "{error}");
    assert!(plan(&schema, r#"{"text": "t", "on_error": "null", "columns": ["t"]}"#).is_ok());
    let error = plan(&schema, r#"{"text": "t", "on_error": "null", "columns": "new", "label_column": "error"}"#);
    assert!(error.unwrap_err().to_string().contains("two new columns would be called \"error\""));
}

#[test]
fn many_columns_are_planned_at_once() {
    const COLUMNS: usize = 20_000;
    let text = |name: String| Field::new(name, DataType::Utf8, true);
    let inside = (0..COLUMNS).map(|i| text(format!("f{i}"))).collect::<Vec<_>>();
    let mut fields: Vec<_> = (0..COLUMNS).map(|i| text(format!("c{i}"))).collect();
    fields.push(Field::new("post", DataType::Struct(inside.into()), true));
    let schema = Schema::new(fields);
    let names = |prefix: &str| (0..COLUMNS).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let columns = Columns::Named(names("c"));
    for text in [names("c"), names("post.f")] {
        let options =
            ScoreOptions { text: Some(TextColumns::Several(text)), columns: columns.clone(), ..Default::default() };
        let began = std::time::Instant::now();
        let plan = ScorePlan::new(&schema, &options, &["NO", "YES"].map(str::to_owned)).unwrap();
        // By comparing each with each it takes minutes, in a build like this one.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
        assert_eq!((plan.schema().fields().len(), plan.weights().len()), (3 * COLUMNS, COLUMNS));
    }
}

#[test]
fn a_path_of_many_dots_is_followed_at_once() {
    let inside = vec![Field::new("x", DataType::Utf8, true)];
    let unnamed = Field::new("", DataType::Struct(inside.into()), true);
    let schema = Schema::new(vec![unnamed; 10_000]);
    let text = ".".repeat(1_000_000);
    let options = ScoreOptions { text: Some(TextColumns::One(text)), ..Default::default() };
    let began = std::time::Instant::now();
    let error = ScorePlan::new(&schema, &options, &["NO", "YES"].map(str::to_owned)).unwrap_err();
    // By a look at each dot, in each of them, it takes many minutes.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert!(error.to_string().contains("not found"));
}
