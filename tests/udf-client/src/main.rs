//! Calls the functions of a server as RisingWave does, and compares what comes back: `udf-client http://127.0.0.1:8815`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_udf_flight::{Client, Error};
use futures_util::future::join_all;

const LABEL: &str = "textflight_label";
const CONFIDENCE: &str = "textflight_confidence";
const SCORE: &str = "textflight_score";
const HEALTHY: &str = "builtin_healthy";

/// RisingWave's channel gives up on a call that has not begun to answer by then.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).expect("the address of a server: http://127.0.0.1:8815");
    let client = Client::connect(address).await.expect("the server answers");
    assert_eq!(client.protocol_version(), 2);
    signatures(&client).await;
    results(&client).await;
    many_rows(&client).await;
    side_by_side(&client).await;
    errors(&client).await;
    println!("arrow-udf-flight is served");
}

/// As RisingWave compares a declaration with what the server says: types alone, whatever the names.
fn is_same(schema: &Schema, types: &[DataType]) -> bool {
    schema.fields().len() == types.len()
        && schema.fields().iter().zip(types).all(|(field, expected)| field.data_type().equals_datatype(expected))
}

async fn signatures(client: &Client) {
    let pair = vec![Field::new("label", DataType::Utf8, true), Field::new("confidence", DataType::Float32, true)];
    let declared = [
        (LABEL, vec![DataType::Utf8], DataType::Utf8),
        (CONFIDENCE, vec![DataType::Utf8], DataType::Float32),
        (SCORE, vec![DataType::Utf8], DataType::Struct(pair.into())),
        (HEALTHY, vec![], DataType::Int32),
    ];
    let listed = client.list().await.expect("functions are listed");
    for (place, (name, takes, gives)) in declared.into_iter().enumerate() {
        for function in [&client.get(name).await.expect(name), &listed[place]] {
            assert_eq!(function.name, name);
            assert!(is_same(&function.args, &takes), "{name} takes {}", function.args);
            assert!(is_same(&function.returns, &[gives.clone()]), "{name} gives {}", function.returns);
        }
    }
}

/// A batch of RisingWave's: its arguments have no names.
fn argument(column: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("", column.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()
}

fn texts(texts: &[Option<&str>]) -> RecordBatch {
    argument(Arc::new(StringArray::from(texts.to_vec())))
}

async fn results(client: &Client) {
    let input = texts(&[Some("a lovely film"), None, Some(""), Some("dull , dull , dull")]);
    let label = client.call(LABEL, &input).await.unwrap();
    let labels = label.column(0).as_string::<i32>();
    assert_eq!((labels.value(0), labels.is_null(1), labels.value(3)), ("POSITIVE", true, "NEGATIVE"));
    assert!(labels.is_valid(2));
    let confidence = client.call(CONFIDENCE, &input).await.unwrap();
    let score = client.call(SCORE, &input).await.unwrap();
    let pairs = score.column(0).as_struct();
    assert!(pairs.is_null(1) && pairs.null_count() == 1);
    assert_eq!(pairs.column(0), label.column(0));
    assert_eq!(pairs.column(1).as_primitive::<Float32Type>(), confidence.column(0).as_primitive::<Float32Type>());

    let view: StringViewArray = input.column(0).as_string::<i32>().iter().collect();
    assert_eq!(client.call(LABEL, &argument(Arc::new(view))).await.unwrap(), label);
    assert_eq!(client.call(SCORE, &texts(&[])).await.unwrap().num_rows(), 0);
}

/// More than one message: the client splits what is longer than 2 MiB.
async fn many_rows(client: &Client) {
    let words: Vec<String> = (0..40_000)
        .map(|row| format!("a film of {row} minutes, {} to sit through: {}", row % 7, "x".repeat(60)))
        .collect();
    let input = argument(Arc::new(StringArray::from_iter_values(&words)));
    let whole = client.call(SCORE, &input).await.unwrap();
    assert_eq!((whole.num_rows(), whole.column(0).null_count()), (input.num_rows(), 0));
    let (begin, rows) = (31_000, 1_024);
    let part = client.call(SCORE, &input.slice(begin, rows)).await.unwrap();
    assert_eq!(whole.slice(begin, rows), part, "the same texts, the same scores");
}

async fn side_by_side(client: &Client) {
    let input = texts(&[Some("a lovely film"), Some("dull , dull , dull")]);
    let expected = client.call(LABEL, &input).await.unwrap();
    let calls = join_all((0..32).map(|_| client.call(LABEL, &input))).await;
    assert!(calls.into_iter().all(|result| result.unwrap() == expected));
}

async fn errors(client: &Client) {
    let refused = |error: Error, expected: &str| {
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    };
    let began = Instant::now();
    refused(client.get("sentiment").await.unwrap_err(), "textflight_label, textflight_confidence, textflight_score");
    refused(client.call("sentiment", &texts(&[Some("a")])).await.unwrap_err(), "textflight_label");
    let number = argument(Arc::new(Int64Array::from(vec![1])));
    refused(client.call(LABEL, &number).await.unwrap_err(), "textflight_label takes one argument, a text");
    assert!(began.elapsed() < PATIENCE);
}
