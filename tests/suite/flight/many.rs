//! Data sets of many files: tickets and answers are long, and bounded.

use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use prost::Message;
use textflight::Result;
use textflight::memory::Memory;
use textflight::source::{Fingerprint, Part, Source};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::client::{Client, LIMITS, catalog, connect_to};
use super::datasets::{get, ids, info, rows, tickets, write};
use super::long::{act, cancel, poll, renew};
use crate::engines::Fake;

const FILES: usize = 1000;

/// A server of as many files of one row each, in folders whose names are long.
async fn serve() -> (tempfile::TempDir, Memory, Client) {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("kind=reviews-of-films/0000.parquet");
    write(&first, &rows(7, 8), 1);
    for file in 1..FILES {
        std::fs::copy(&first, first.with_file_name(format!("{file:04}.parquet"))).unwrap();
    }
    let catalog = catalog();
    catalog.datasets.add_path("data", folder.path()).unwrap();
    let memory = Memory::new(80 << 20);
    let client = connect_to(Fake::engine(100_000), LIMITS, memory.clone(), catalog).await;
    (folder, memory, client)
}

/// All that calls hold is given back.
async fn returns(memory: &Memory) {
    let returned = async {
        while memory.held() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), returned).await.unwrap();
}

#[tokio::test]
async fn a_ticket_names_a_thousand_files() {
    let (_folder, memory, client) = serve().await;
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let found = info(&mut client, r#"{"data": "data", "partitions": 1}"#).await.unwrap();
    assert_eq!((found.endpoint.len(), found.total_records), (1, FILES as i64));
    assert!(tickets(&found)[0].ticket.len() > 64 * 1024, "no longer ticket than others");
    let all = get(&mut client, tickets(&found).remove(0)).await.unwrap();
    assert_eq!(all.num_rows(), FILES);
    let renewed = renew(&mut client, &found.endpoint[0]).await.unwrap();
    let mut plain = client.clone();
    assert_eq!(get(&mut plain, renewed.ticket.unwrap()).await.unwrap().num_rows(), FILES);
    assert_eq!(cancel(&mut client, &found).await.unwrap().status, 1);
    assert_eq!(get(&mut client, tickets(&found).remove(0)).await.unwrap_err().code(), Code::Cancelled);
    returns(&memory).await;
}

#[tokio::test]
async fn a_flight_of_a_thousand_endpoints_is_polled_and_cancelled() {
    let (_folder, memory, mut client) = serve().await;
    let found = poll(&mut client, r#"{"data": "data"}"#).await.unwrap().info.unwrap();
    assert_eq!(found.endpoint.len(), FILES);
    assert!(found.encoded_len() > 256 * 1024 && memory.held() > found.encoded_len(), "what is kept has its memory");
    assert_eq!(ids(&mut client, &found).await.concat(), vec![7; FILES]);
    cancel(&mut client, &found).await.unwrap();
    returns(&memory).await;
}

fn check_refused(refused: &Status, text: &str) {
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains(text), "{refused:?}");
}

#[tokio::test]
async fn an_answer_is_no_longer_than_it_may_be() {
    let (_folder, memory, mut client) = serve().await;
    let wide = "w".repeat(10_000);
    let command = format!(r#"{{"data": "data", "partitions": {FILES}, "label_column": "{wide}"}}"#);
    check_refused(&info(&mut client, &command).await.unwrap_err(), "longer than 8 MiB");
    check_refused(&poll(&mut client, &command).await.unwrap_err(), "longer than 8 MiB");
    // Fewer endpoints name it fewer times.
    let few = command.replace("1000", "100");
    assert_eq!(info(&mut client, &few).await.unwrap().endpoint.len(), 100);
    let none = act(&mut client, "CancelFlightInfo", vec![0; 9 << 20]).await.unwrap_err();
    check_refused(&none, "a call of this kind takes 8454144");
    let none = info(&mut client, &" ".repeat(1 << 20)).await.unwrap_err();
    check_refused(&none, "a call of this kind takes 65536");
    returns(&memory).await;
}

/// A table whose reader has a bug.
#[derive(Debug)]
struct Broken(Arc<dyn Source>);

impl Source for Broken {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    fn parts(&self) -> &[Part] {
        panic::resume_unwind(Box::new("told to"))
    }

    fn read(
        self: Arc<Self>,
        parts: std::ops::Range<usize>,
        columns: &[usize],
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        Arc::clone(&self.0).read(parts, columns, batch_rows)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    fn has_changed(&self) -> Result<bool> {
        Ok(false)
    }
}

#[tokio::test]
async fn a_bug_ends_a_query_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 10), 3);
    let table = Arc::new(textflight::source::parquet::ParquetFile::open(&path).unwrap());
    let catalog = catalog();
    catalog.datasets.replace("broken", Arc::new(Broken(table))).unwrap();
    let mut client = connect_to(Fake::engine(1000), LIMITS, Memory::default(), catalog).await;
    for failed in [
        poll(&mut client, r#"{"data": "broken"}"#).await.map(drop).unwrap_err(),
        info(&mut client, r#"{"data": "broken"}"#).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(failed.code(), Code::Internal, "{failed:?}");
        assert!(failed.message().contains("a bug of textflight"), "{failed:?}");
    }
}
