use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type, Schema};

use super::{Function, is_kept, names};
use crate::Error;
use crate::table::ScorePlan;

fn classes() -> Vec<String> {
    vec!["NEGATIVE".to_owned(), "POSITIVE".to_owned()]
}

fn plan(function: Function, arguments: Vec<Field>) -> crate::Result<ScorePlan> {
    function.plan(&Schema::new(arguments), &classes())
}

fn text(name: &str, data_type: DataType) -> Vec<Field> {
    vec![Field::new(name, data_type, true)]
}

#[test]
fn names_are_found_as_they_are_listed() {
    for function in Function::ALL {
        assert_eq!(Function::named(function.name()).unwrap(), function);
        assert!(is_kept(function.name()));
        let listed: Vec<_> = Function::beginning(function.name()).collect();
        assert_eq!(listed, [function]);
    }
    assert_eq!(Function::beginning("").count(), Function::ALL.len());
    assert_eq!(Function::beginning("textflight_").count(), 3);
    assert_eq!(Function::beginning("x").count(), 0);
    for (name, expected) in [
        ("sentiment", "function \"sentiment\" not found; functions: textflight_label, "),
        ("", "function \"\" not found"),
        ("TextFlight_Label", "functions, by their names in lower case: textflight_label, "),
        ("textflight_label ", "function \"textflight_label \" not found; functions: "),
    ] {
        let error = Function::named(name).unwrap_err();
        assert!(matches!(&error, Error::NotFound(text) if text.contains(expected)), "{error}");
        assert!(error.to_string().ends_with(&names()), "{error}");
    }
    assert!(is_kept("textflight_anything") && !is_kept("builtin_") && !is_kept("reviews"));
}

#[test]
fn a_signature_is_arguments_then_result() {
    for function in Function::ALL {
        let (arguments, signature) = (function.arguments(), function.signature());
        assert_eq!(signature.fields()[..arguments.len()], arguments[..]);
        assert_eq!(signature.fields()[arguments.len()..], function.returns().fields()[..]);
        assert_eq!(signature.metadata()["x-databend-udf-input-count"], arguments.len().to_string());
        // Databases have nullable columns unless somebody says otherwise.
        assert!(signature.fields().iter().all(|field| field.is_nullable()));
    }
    let DataType::Struct(fields) = Function::Score.returns().field(0).data_type().clone() else { panic!() };
    assert_eq!(fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["label", "confidence"]);
    assert!(fields.iter().all(|field| field.is_nullable()));
}

#[test]
fn a_text_is_taken_whatever_its_encoding_and_name() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8));
    for data_type in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary, DataType::Null] {
        for name in ["", "arg1", "label", "post.title", "a \"b\"\n"] {
            let plan = plan(Function::Score, text(name, data_type.clone())).unwrap();
            assert_eq!(plan.schema().fields().len(), 2, "{name:?} of {data_type}");
        }
    }
}

#[test]
fn wrong_arguments_are_told_what_is_wrong() {
    let two = vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, true)];
    let tuple = DataType::Struct(text("a", DataType::Utf8).into());
    let list = DataType::new_list(DataType::Utf8, true);
    for (function, arguments, expected) in [
        (
            Function::Label,
            two,
            "textflight_label takes one argument, a text; its arguments were: a (string), b (int64)",
        ),
        (Function::Label, Vec::new(), "its arguments were: none"),
        (
            Function::Confidence,
            text("a", DataType::Int64),
            "textflight_confidence takes one argument, a text; its arguments were: a (int64)",
        ),
        (Function::Score, text("a", DataType::Binary), "a (binary)"),
        (Function::Score, text("a", tuple), "a (struct<a: string>)"),
        (Function::Score, text("a", list), "a (list<string>)"),
        (
            Function::Healthy,
            text("a", DataType::Utf8),
            "builtin_healthy takes no argument; its arguments were: a (string)",
        ),
    ] {
        let error = plan(function, arguments).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(expected)), "{error}");
    }
    assert_eq!(plan(Function::Healthy, Vec::new()).unwrap().text_columns().count(), 0);
}

#[test]
fn results_stand_alone() {
    let labels: ArrayRef = Arc::new(StringArray::from(vec![Some("POSITIVE"), None]));
    let confidences: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.75), None]));
    let scores = [labels, confidences];
    for function in [Function::Label, Function::Confidence, Function::Score] {
        let results = function.results(&scores, 2).unwrap();
        assert_eq!(*results.schema(), function.returns());
        assert_eq!((results.num_rows(), results.num_columns()), (2, 1));
        assert!(results.column(0).is_valid(0) && results.column(0).is_null(1));
        assert!(matches!(function.results(&scores[..1], 2), Err(Error::Failed(_))));
    }
    let score = Function::Score.results(&scores, 2).unwrap();
    let score = score.column(0).as_struct();
    assert_eq!(score.column(0).as_string::<i32>().value(0), "POSITIVE");
    assert_eq!(score.column(1).as_primitive::<Float32Type>().value(0), 0.75);

    let empty = scores.map(|column| column.slice(0, 0));
    assert_eq!(Function::Score.results(&empty, 0).unwrap().num_rows(), 0);
    let healthy = Function::Healthy.results(&[], 3).unwrap();
    assert_eq!(healthy.column(0).as_primitive::<Int32Type>().values(), &[1, 1, 1]);
}
