//! What a client gets back.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use arrow_flight::FlightData;
use futures::{StreamExt, stream};
use textflight::engine::Engine;

use super::client::{Client, LIMITS, batch, connect, exchange, messages, read};
use crate::engines::Fake;

async fn client() -> Client {
    connect(Fake::engine(10_000), LIMITS).await
}

#[tokio::test]
async fn one_batch_in_one_batch_out_in_order() {
    let sizes = [3, 0, 1, 700, 0, 2];
    let texts: Vec<String> = (0..700).map(|i| "x".repeat(i % 9 + 1)).collect();
    let sent: Vec<RecordBatch> =
        sizes.iter().map(|n| batch(&texts[..*n].iter().map(|t| Some(t.as_str())).collect::<Vec<_>>())).collect();
    let reply = exchange(&mut client().await, messages("", sent.clone())).await.unwrap();
    // The encoder of the test sends nothing for an empty batch: what arrives is answered one for one.
    let sent: Vec<_> = sent.into_iter().filter(|b| b.num_rows() > 0).collect();
    let got = read(reply).await.unwrap();
    assert_eq!(got.len(), sent.len());
    for (got, sent) in got.iter().zip(&sent) {
        assert_eq!(got.project(&[0, 1]).unwrap(), *sent);
        let labels = got["label"].as_string::<i32>();
        for (label, text) in labels.iter().zip(sent["text"].as_string::<i32>()) {
            let expected = if text.unwrap().len() % 2 == 0 { "NEGATIVE" } else { "POSITIVE" };
            assert_eq!(label, Some(expected));
        }
    }
}

#[tokio::test]
async fn nulls_stay_null_and_options_count() {
    let command = r#"{"text": "text", "labels": "id", "confidence_column": "sure", "details": true}"#;
    let reply = exchange(&mut client().await, messages(command, vec![batch(&[Some("odd"), None])])).await.unwrap();
    let got = read(reply).await.unwrap().remove(0);
    assert_eq!(got["label"].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(got["sure"].as_primitive::<Float32Type>().iter().collect::<Vec<_>>(), [Some(0.75), None]);
    assert!(got["tokens"].is_null(1) && got["truncated"].is_null(1));
}

#[tokio::test]
async fn metadata_is_echoed_on_its_batch_and_nothing_else_is_sent() {
    let tag = |(i, message): (usize, FlightData)| message.with_app_metadata(format!("tag {i}"));
    let tagged = messages("", vec![batch(&[Some("a")]), batch(&[Some("bb")])]).enumerate().map(tag);
    let reply = exchange(&mut client().await, tagged).await.unwrap();
    let tags: Vec<_> = reply.map(|message| message.unwrap().app_metadata).collect().await;
    assert_eq!(tags, ["", "tag 1", "tag 2"], "the schema, then each batch with its own");
}

#[tokio::test]
async fn messages_without_a_header_are_no_batches() {
    let mut sent: Vec<FlightData> = messages("", vec![batch(&[Some("a")])]).collect().await;
    // As C++ and Python clients begin: the descriptor alone, then the schema; and metadata in between.
    let descriptor = FlightData::new().with_descriptor(sent[0].flight_descriptor.take().unwrap());
    sent.insert(0, descriptor);
    sent.insert(2, FlightData::new().with_app_metadata("between"));
    sent.push(FlightData::new().with_app_metadata("behind"));
    let reply = exchange(&mut client().await, stream::iter(sent)).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_schema_comes_before_the_first_row() {
    let (send, sent) = tokio::sync::mpsc::channel(4);
    let mut reply = {
        let all: Vec<FlightData> = messages("", vec![batch(&[Some("a")])]).collect().await;
        send.send(all[0].clone()).await.unwrap();
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        exchange(&mut client().await, sent).await.unwrap()
    };
    assert!(!reply.message().await.unwrap().unwrap().data_header.is_empty());
    drop(send);
    assert!(reply.message().await.unwrap().is_none());
}

/// The invariant of the whole crate: the same text gets the same bits on every road.
#[tokio::test]
async fn every_transport_gives_the_same_bits() {
    use textflight::engine::Lane;
    use textflight::table::ScoreOptions;

    let engine: Engine = crate::engines::bundled();
    let texts = ["a lovely film", "", "dull , dull , dull", "a lovely film", "it 's fine , i suppose"];
    let column = batch(&texts.map(Some));

    let scores = engine.score(texts.into_iter().map(Some).collect(), Lane::Interactive).await.unwrap();
    let direct: Vec<u32> = (0..texts.len()).map(|row| scores.confidence(row).unwrap().to_bits()).collect();
    assert_eq!(direct[0], direct[3]);

    let mut client = connect(engine.clone(), LIMITS).await;
    let singly = texts.map(|text| batch(&[Some(text)])).to_vec();
    let reply = exchange(&mut client, messages("", singly)).await.unwrap();
    let flight = arrow::compute::concat_batches(
        &bits_schema(),
        read(reply).await.unwrap().iter().map(confidence).collect::<Vec<_>>().iter(),
    )
    .unwrap();
    assert_eq!(bits(&flight), direct);

    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&input).unwrap(), column.schema(), None).unwrap();
    writer.write(&column).unwrap();
    writer.close().unwrap();
    let scored = crate::engines::score_file(engine.clone(), &input, &output, ScoreOptions::default());
    scored.await.unwrap();
    let file = std::fs::File::open(output).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 100).unwrap();
    let parquet: Vec<u32> = reader.flat_map(|batch| bits(&confidence(&batch.unwrap()))).collect();
    assert_eq!(parquet, direct);
}

fn bits_schema() -> arrow::datatypes::SchemaRef {
    use arrow::datatypes::{DataType, Field, Schema};
    std::sync::Arc::new(Schema::new(vec![Field::new("confidence", DataType::Float32, true)]))
}

fn confidence(batch: &RecordBatch) -> RecordBatch {
    let column = std::sync::Arc::clone(batch.column_by_name("confidence").unwrap());
    RecordBatch::try_new(bits_schema(), vec![column]).unwrap()
}

fn bits(batch: &RecordBatch) -> Vec<u32> {
    batch["confidence"].as_primitive::<Float32Type>().values().iter().map(|x| x.to_bits()).collect()
}
