//! The bounds of a stream, over a model that waits to be let go on.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{BinaryArray, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::poll;

use super::*;
use crate::engine::testing::Fake;
use crate::table::ScoreOptions;

fn texts(number: usize, rows: usize, bytes: usize) -> Incoming<Vec<ColumnTexts>, usize> {
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(vec!["x".repeat(number + 1); rows]));
    Incoming { rows: vec![ColumnTexts::read(&column, &[]).unwrap()], bytes, rest: number }
}

/// How many of ten arrays are taken in while the model gives nothing back; then all come out in order.
async fn taken(bound: InFlight, rows: usize, bytes: usize) -> usize {
    let (engine, _fake, open) = Fake::gated_engine(1000);
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let input = futures::stream::iter(0..10).map(move |number| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(texts(number, rows, bytes))
    });
    let mut stream = std::pin::pin!(score_texts(engine, bound, input));
    // It takes in what it may before it waits; the second time only if it had left something.
    assert!(poll!(stream.next()).is_pending() && poll!(stream.next()).is_pending(), "the gate is shut");
    let taken = pulled.load(Ordering::SeqCst);
    drop(open);
    let mut number = 0;
    while let Some(item) = stream.next().await {
        let (_, scores, rest) = item.unwrap();
        let scores = &scores[0];
        assert_eq!((rest, scores.len()), (number, rows));
        assert!((0..rows).all(|row| scores.label(row) == Some((number + 1) % 2)));
        number += 1;
    }
    assert_eq!(number, 10);
    taken
}

#[tokio::test]
async fn rows_and_bytes_are_bounded_and_one_array_always_fits() {
    let much = 1_000_000;
    assert_eq!(taken(InFlight { rows: 150, bytes: much }, 50, 1).await, 3);
    let engine_wants = 96;
    assert_eq!(taken(InFlight { rows: 1, bytes: much }, 32, 1).await, engine_wants / 32);
    assert_eq!(taken(InFlight { rows: much, bytes: 400 }, 1, 100).await, 4);
    assert_eq!(taken(InFlight { rows: 1, bytes: 1 }, 5, 100).await, 1);
    assert_eq!(taken(InFlight { rows: much, bytes: much }, 1, 1).await, 10);
}

#[tokio::test]
async fn the_first_error_ends_the_stream() {
    let items = vec![Ok(texts(0, 1, 1)), Err(Error::Invalid("broken".to_owned())), Ok(texts(1, 1, 1))];
    // There is room for all at once: the error is met while the first is in flight.
    let bound = InFlight { rows: 100, bytes: 100 };
    let got: Vec<_> = score_texts(Fake::engine(10), bound, futures::stream::iter(items)).collect().await;
    assert_eq!(got.len(), 2);
    assert!(got[0].is_ok() && matches!(&got[1], Err(Error::Invalid(cause)) if cause == "broken"));
}

fn table(texts: &[Option<&str>]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("t", Arc::new(StringArray::from(texts.to_vec())) as _, true)]).unwrap()
}

fn plan() -> Arc<ScorePlan> {
    let schema = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
    let classes = ["NEGATIVE", "POSITIVE"].map(str::to_owned);
    Arc::new(ScorePlan::new(&schema, &ScoreOptions::default(), &classes).unwrap())
}

async fn scored(batches: Vec<RecordBatch>) -> Vec<Result<(RecordBatch, usize)>> {
    let batches = batches.into_iter().enumerate().map(|(rest, rows)| Ok(Incoming { rows, bytes: 1, rest }));
    let bound = InFlight { rows: 100, bytes: 100 };
    score_table(Fake::engine(100), plan(), bound, futures::stream::iter(batches)).collect().await
}

#[tokio::test]
async fn a_table_comes_back_with_its_columns_appended() {
    let batches = vec![table(&[Some("odd"), None]), table(&[]), table(&[Some("even")])];
    let got = scored(batches.clone()).await;
    assert_eq!(got.len(), 3);
    for (number, (got, sent)) in got.into_iter().zip(batches).enumerate() {
        let (got, rest) = got.unwrap();
        assert_eq!((rest, got.project(&[0]).unwrap()), (number, sent.clone()));
        let labels = StringArray::from_iter(
            sent["t"]
                .as_any()
                .downcast_ref::<StringArray>()
                .unwrap()
                .iter()
                .map(|text| text.map(|text| if text.len() % 2 == 0 { "NEGATIVE" } else { "POSITIVE" })),
        );
        assert_eq!(got["label"].as_ref(), &labels as &dyn Array);
    }
}

#[tokio::test]
async fn a_row_is_counted_over_the_whole_table() {
    let good = table(&[Some("a"), None, Some("bb")]);
    let bad = table(&[Some("ccc"), Some("unscorable"), Some("dddd"), Some("untokenizable")]);
    let got = scored(vec![good.clone(), table(&[]), good, bad]).await;
    assert_eq!(got.len(), 4);
    assert!(matches!(&got[3], Err(Error::Unscorable { row: 7, cause }) if cause.contains("NaN")), "{:?}", got[3]);
}

#[tokio::test]
async fn of_two_rows_that_fail_the_first_is_named() {
    let bytes = |values: &[&[u8]]| {
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values(values));
        RecordBatch::try_from_iter([("t", column)]).unwrap()
    };
    let batches = [bytes(&[b"a", b"unscorable"]), bytes(&[b"bb", b"\xff"])];
    let schema = Schema::new(vec![Field::new("t", DataType::Binary, false)]);
    let options = ScoreOptions::from_command(br#"{"text": "t"}"#).unwrap();
    let plan = ScorePlan::new(&schema, &options, &["NEGATIVE", "POSITIVE"].map(str::to_owned)).unwrap();
    let input = futures::stream::iter(batches.map(|rows| Ok(Incoming { rows, bytes: 1, rest: () })));
    let bound = InFlight { rows: 100, bytes: 100 };
    let got: Vec<_> = score_table(Fake::engine(100), Arc::new(plan), bound, input).collect().await;
    assert!(matches!(&got[..], [Err(Error::Unscorable { row: 1, .. })]), "{got:?}");
}

#[tokio::test]
async fn a_row_without_a_score_gets_nulls_where_that_was_asked_for() {
    let schema = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
    let options = ScoreOptions::from_command(br#"{"on_error": "null"}"#).unwrap();
    let plan = ScorePlan::new(&schema, &options, &["NEGATIVE", "POSITIVE"].map(str::to_owned)).unwrap();
    let batch = table(&[Some("a"), Some("unscorable"), None, Some("untokenizable"), Some("bb")]);
    let input = futures::stream::iter([Ok(Incoming { rows: batch, bytes: 1, rest: () })]);
    let bound = InFlight { rows: 100, bytes: 100 };
    let mut scored = std::pin::pin!(score_table(Fake::engine(100), Arc::new(plan), bound, input));
    let (scored, ()) = scored.next().await.unwrap().unwrap();
    let column = |name: &str| {
        let column = scored[name].as_any().downcast_ref::<StringArray>().unwrap();
        column.iter().map(|value| value.map(str::to_owned)).collect::<Vec<_>>()
    };
    let label = |name: &str| Some(name.to_owned());
    assert_eq!(column("label"), [label("POSITIVE"), None, None, None, label("NEGATIVE")]);
    let errors = column("error");
    assert_eq!([0, 2, 4].map(|row| errors[row].clone()), [None, None, None]);
    assert!(errors[1].as_ref().unwrap().contains("no score"), "{errors:?}");
    assert_eq!(errors[3].as_deref(), Some("tokenizing failed"));
}
