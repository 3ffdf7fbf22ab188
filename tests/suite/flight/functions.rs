//! Functions that databases call: what a client in lockstep gets, and when.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StringViewArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Int32Type, Schema};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{Action, FlightData, FlightDescriptor};
use futures::{Stream, StreamExt, stream};
use textflight::flight::catalog::Catalog;
use textflight::udf::Function;
use tonic::{Code, Status};

use super::client::{Client, LIMITS, catalog, connect, exchange, failure, read};
use super::datasets;
use crate::engines::Fake;

async fn client() -> Client {
    connect(Fake::engine(10_000), LIMITS).await
}

fn path(parts: &[&str]) -> FlightDescriptor {
    FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect())
}

/// A column of texts, as a database calls it.
fn argument(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("arg1", column, true)]).unwrap()
}

fn texts(texts: &[Option<&str>]) -> RecordBatch {
    argument(Arc::new(StringArray::from(texts.to_vec())))
}

/// The messages of a call: the schema, and each batch, also of 0 rows, which arrow-flight's writer leaves out. As arrow-udf does it,
/// each names the function.
fn call(function: &str, batches: &[RecordBatch]) -> impl Stream<Item = FlightData> + Send + 'static {
    let (writer, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let (mut dictionaries, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
    let schema = batches[0].schema();
    let schema = writer.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options);
    let batches =
        batches.iter().map(|batch| writer.encode(batch, &mut dictionaries, &options, &mut context).unwrap().1);
    let messages: Vec<FlightData> = [schema].into_iter().chain(batches).map(FlightData::from).collect();
    let descriptor = path(&[function]);
    stream::iter(messages).map(move |message| message.with_descriptor(descriptor.clone()))
}

async fn called(function: &str, batches: &[RecordBatch]) -> Vec<RecordBatch> {
    read(exchange(&mut client().await, call(function, batches)).await.unwrap()).await.unwrap()
}

async fn refused(function: &str, batch: RecordBatch) -> Status {
    failure(&mut client().await, call(function, &[batch])).await
}

#[tokio::test]
async fn results_alone_come_back_one_batch_for_one() {
    let sent = [texts(&[Some("odd"), None, Some("even")]), texts(&[]), texts(&[Some(" ")])];
    for function in [Function::Label, Function::Confidence, Function::Score] {
        let got = called(function.name(), &sent).await;
        assert_eq!(got.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 0, 1], "{function:?}");
        assert!(got.iter().all(|batch| *batch.schema() == function.returns()));
        assert!(got[0].column(0).is_null(1) && got[0].column(0).is_valid(2) && got[2].column(0).is_valid(0));
    }
    let [label, confidence, score] = ["label", "confidence", "score"].map(|name| format!("textflight_{name}"));
    let label = called(&label, &sent).await.remove(0);
    assert_eq!(
        label.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("POSITIVE"), None, Some("NEGATIVE")]
    );
    let confidence = called(&confidence, &sent).await.remove(0);
    let score = called(&score, &sent).await.remove(0);
    let score = score.column(0).as_struct();
    assert_eq!(score.column(0), label.column(0));
    assert_eq!(score.column(1).as_primitive::<Float32Type>(), confidence.column(0).as_primitive::<Float32Type>());
}

#[tokio::test]
async fn texts_come_in_any_encoding() {
    let plain = StringArray::from(vec![Some("a"), None, Some("bb"), Some("a")]);
    let expected = called("textflight_label", &[argument(Arc::new(plain.clone()))]).await.remove(0);
    let view: ArrayRef = Arc::new(plain.iter().collect::<StringViewArray>());
    let large = cast(&plain, &DataType::LargeUtf8).unwrap();
    for column in [view, large] {
        assert_eq!(called("textflight_label", &[argument(column)]).await, std::slice::from_ref(&expected));
    }
    let nulls = new_null_array(&DataType::Null, 2);
    assert_eq!(called("textflight_score", &[argument(nulls)]).await.remove(0).column(0).null_count(), 2);
}

#[tokio::test]
async fn the_schema_of_results_comes_before_that_of_arguments() {
    let (send, sent) = tokio::sync::mpsc::channel(4);
    send.send(FlightData::new().with_descriptor(path(&["textflight_score"]))).await.unwrap();
    let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut reply = exchange(&mut client().await, sent).await.unwrap();
    let first = reply.message().await.unwrap().unwrap();
    assert_eq!(Schema::try_from(&first).unwrap(), Function::Score.returns());
    drop(send);
    assert!(reply.message().await.unwrap().is_none());
}

#[tokio::test]
async fn healthy_takes_rows_without_columns() {
    let rows = |rows| {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap()
    };
    let got = called("builtin_healthy", &[rows(1), rows(3)]).await;
    let got: Vec<_> = got.iter().map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    assert_eq!(got, [vec![1], vec![1, 1, 1]]);
}

#[tokio::test]
async fn wrong_calls_are_told_what_is_wrong() {
    let numbers = argument(Arc::new(Int64Array::from(vec![1])));
    let status = refused("textflight_label", numbers).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "textflight_label takes one argument, a text; its arguments were: arg1 (int64)");
    let status = refused("builtin_healthy", texts(&[Some("a")])).await;
    assert!(status.message().contains("takes no argument"), "{status:?}");
    for name in ["sentiment", "textflight_sum", "TEXTFLIGHT_LABEL", ""] {
        let status = refused(name, texts(&[Some("a")])).await;
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(&format!("function {name:?} not found")), "{status:?}");
        assert!(status.message().contains("textflight_label, textflight_confidence"), "{status:?}");
    }
}

#[tokio::test]
async fn signatures_are_flights_without_endpoints() {
    let mut client = client().await;
    for function in Function::ALL {
        let info = client.get_flight_info(path(&[function.name()])).await.unwrap().into_inner();
        assert_eq!(info.flight_descriptor, Some(path(&[function.name()])));
        assert_eq!(info.total_records, function.arguments().len() as i64);
        assert_eq!((info.total_bytes, info.endpoint.len()), (0, 0));
        let polled = client.poll_flight_info(path(&[function.name()])).await.unwrap().into_inner();
        assert_eq!((polled.info.as_ref(), polled.progress, polled.flight_descriptor), (Some(&info), Some(1.0), None));
        let schema = client.get_schema(path(&[function.name()])).await.unwrap().into_inner();
        assert_eq!(schema.schema, info.schema);
        assert_eq!(info.try_decode_schema().unwrap(), function.signature());
    }
    for (parts, code, expected) in [
        (&["textflight_sum"][..], Code::NotFound, "function \"textflight_sum\" not found; functions: textflight_label"),
        (&["sentiment"], Code::NotFound, "functions of SQL: textflight_label"),
        (&["textflight_label", "a"], Code::InvalidArgument, "by its name alone"),
    ] {
        let status = client.get_flight_info(path(parts)).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(expected), "{status:?}");
        let status = client.poll_flight_info(path(parts)).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(expected), "{status:?}");
        let status = client.get_schema(path(parts)).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(expected), "{status:?}");
    }
    let mut results = client.do_action(Action::new("protocol_version", "")).await.unwrap().into_inner();
    assert_eq!(results.message().await.unwrap().unwrap().body, vec![2]);
    assert!(results.message().await.unwrap().is_none());
}

#[tokio::test]
async fn functions_are_listed_behind_data_sets() {
    let mut client = client().await;
    let mut listed = async |prefix: &'static str| -> Vec<String> {
        datasets::listed(&mut client, prefix)
            .await
            .unwrap()
            .into_iter()
            .map(|info| info.flight_descriptor.unwrap().path.remove(0))
            .collect()
    };
    assert_eq!(listed("").await, Function::ALL.map(Function::name));
    assert_eq!(listed("textflight_s").await, ["textflight_score"]);
    assert!(listed("reviews").await.is_empty());
}

#[test]
fn no_data_set_takes_the_name_of_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let Catalog { datasets, uploads, .. } = catalog();
    for name in ["textflight_label", "textflight_future", "builtin_healthy"] {
        for refused in [datasets.add_path(name, folder.path()), uploads.begin(name).map(drop)] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(&format!("data set {name:?}: the name is kept")), "{text}");
        }
    }
}

#[tokio::test]
async fn calls_are_bounded_as_exchanges_are() {
    let mut client = client().await;
    let mut open = Vec::new();
    for _ in 0..LIMITS.streams {
        let (send, sent) = tokio::sync::mpsc::channel(4);
        send.send(FlightData::new().with_descriptor(path(&["textflight_label"]))).await.unwrap();
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut reply = exchange(&mut client, sent).await.unwrap();
        reply.message().await.unwrap().unwrap();
        open.push((send, reply));
    }
    let status = failure(&mut client, call("textflight_label", &[texts(&[Some("a")])])).await;
    assert_eq!(status.code(), Code::Unavailable);
    // One that is cancelled leaves its place.
    drop(open);
    let served = async |client: &mut Client| {
        let reply = exchange(client, call("textflight_label", &[texts(&[Some("a")])])).await?;
        read(reply).await.map_err(|error| Status::aborted(error.to_string()))
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while let Err(status) = served(&mut client).await {
        assert!(tokio::time::Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
