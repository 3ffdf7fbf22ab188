//! Data sets: what is listed, what is fetched, and what is refused.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow_flight::{Criteria, FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use textflight::memory::Memory;
use textflight::source::parquet::ParquetFile;
use tonic::{Code, Status};

use super::client::{Client, LIMITS, catalog, connect_to, read};
use crate::engines::Fake;

/// Rows `from..to`: `id`, and a `text` of it.
pub fn rows(from: usize, to: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new((from as i64..to as i64).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((from..to).map(|row| Some("x".repeat(row % 9 + 1))).collect::<StringArray>());
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("text", texts, true)]).unwrap()
}

/// A file of these rows, with so many in a row group.
pub fn write(path: &Path, batch: &RecordBatch, group: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A server of one data set, `data`, at this path.
async fn serve(path: &Path) -> Client {
    let catalog = catalog();
    catalog.datasets.add_path("data", path).unwrap();
    connect_to(Fake::engine(100_000), LIMITS, Memory::default(), catalog).await
}

pub async fn info(client: &mut Client, command: &str) -> Result<FlightInfo, Status> {
    client.get_flight_info(FlightDescriptor::new_cmd(command.to_owned())).await.map(tonic::Response::into_inner)
}

/// The flights whose names begin so.
pub async fn listed(client: &mut Client, prefix: &'static str) -> Result<Vec<FlightInfo>, Status> {
    client.list_flights(Criteria { expression: prefix.into() }).await?.into_inner().try_collect().await
}

pub async fn get(client: &mut Client, ticket: Ticket) -> Result<RecordBatch, Status> {
    let reply = client.do_get(ticket).await?.into_inner();
    let mut schema: Option<SchemaRef> = None;
    let batches = read(reply).await.map_err(|error| match error {
        arrow_flight::error::FlightError::Tonic(status) => *status,
        other => panic!("{other}"),
    })?;
    for batch in &batches {
        schema = Some(batch.schema());
    }
    let schema = schema.unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()));
    Ok(concat_batches(&schema, &batches).unwrap())
}

pub fn tickets(info: &FlightInfo) -> Vec<Ticket> {
    info.endpoint.iter().map(|endpoint| endpoint.ticket.clone().unwrap()).collect()
}

/// The ids of all endpoints, in their order.
pub async fn ids(client: &mut Client, info: &FlightInfo) -> Vec<Vec<i64>> {
    let mut all = Vec::new();
    for ticket in tickets(info) {
        let batch = get(client, ticket).await.unwrap();
        let ids = batch.column_by_name("id").map(|ids| ids.as_primitive::<Int64Type>().values().to_vec());
        all.push(ids.unwrap_or_default());
    }
    all
}

#[tokio::test]
async fn a_file_is_listed_and_fetched_with_its_scores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 1000), 100);
    let mut client = serve(&path).await;
    let listed = listed(&mut client, "data").await.unwrap();
    assert_eq!(listed.len(), 1);
    let found = info(&mut client, r#"{"data": "data"}"#).await.unwrap();
    assert_eq!(listed[0].flight_descriptor.as_ref().unwrap().path, ["data"]);
    assert_eq!((listed[0].total_records, listed[0].schema.clone()), (1000, found.schema.clone()));
    assert_eq!((found.total_records, found.ordered, found.endpoint.len()), (1000, true, 8));
    assert_eq!(found.total_bytes as u64, fs::metadata(&path).unwrap().len());
    let bytes = async |client: &mut Client, limit: u64| {
        info(client, &format!(r#"{{"data": "data", "limit": {limit}}}"#)).await.unwrap().total_bytes
    };
    assert_eq!(bytes(&mut client, 1000).await, found.total_bytes, "a limit that leaves nothing out changes nothing");
    assert!(bytes(&mut client, 999).await < found.total_bytes);
    assert!(bytes(&mut client, 0).await == 0);
    let all: Vec<i64> = ids(&mut client, &found).await.concat();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());

    let first = get(&mut client, tickets(&found)[0].clone()).await.unwrap();
    let labels = first["label"].as_string::<i32>();
    for (label, text) in labels.iter().zip(first["text"].as_string::<i32>()) {
        assert_eq!(label, Some(if text.unwrap().len() % 2 == 0 { "NEGATIVE" } else { "POSITIVE" }));
    }
    let schema = client.get_schema(FlightDescriptor::new_path(vec!["data".to_owned()])).await.unwrap().into_inner();
    assert_eq!(schema.schema, found.schema);
    assert_eq!(found.try_decode_schema().unwrap(), *first.schema());
}

#[tokio::test]
async fn limits_and_partitions_give_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, from, to) in [("a", 0, 250), ("b", 250, 251), ("c", 251, 600)] {
        write(&folder.path().join(format!("{name}.parquet")), &rows(from, to), 100);
    }
    let mut client = serve(folder.path()).await;
    for partitions in [1, 2, 3, 8, 99] {
        for limit in
            [None, Some(0), Some(1), Some(100), Some(101), Some(250), Some(251), Some(599), Some(600), Some(9999)]
        {
            let limited = limit.map_or(String::new(), |limit: usize| format!(r#", "limit": {limit}"#));
            let command = format!(r#"{{"data": "data", "partitions": {partitions}{limited}}}"#);
            let found = info(&mut client, &command).await.unwrap();
            let rows = limit.unwrap_or(600).min(600);
            assert_eq!(found.total_records, rows as i64, "{command}");
            // Row groups of 100, 100, 50, 1, 100, 100, 100 and 49 rows.
            let groups = [100, 200, 250, 251, 351, 451, 551, 600].iter().position(|&end| rows <= end).unwrap() + 1;
            assert_eq!(found.endpoint.len(), partitions.min(groups), "{command}");
            let all = ids(&mut client, &found).await.concat();
            assert_eq!(all, (0..rows as i64).collect::<Vec<_>>(), "{command}");
        }
    }
}

async fn refused(client: &mut Client, command: &str) -> (Code, String) {
    let status = info(client, command).await.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.parquet"), &rows(0, 10), 100);
    let mut client = serve(folder.path()).await;
    for (command, code, text) in [
        (r#"{"data": "b"}"#, Code::NotFound, "data sets: data"),
        (r#"{"data": "data", "path": "b.parquet"}"#, Code::NotFound, "b.parquet"),
        (r#"{"data": "data", "path": "../a.parquet"}"#, Code::PermissionDenied, "leads elsewhere"),
        (r#"{"data": "data", "path": "/etc/passwd"}"#, Code::PermissionDenied, "leads elsewhere"),
        (r#"{"data": "data", "path": ""}"#, Code::InvalidArgument, "no path"),
        (r#"{"data": "data", "path": "a\u0000"}"#, Code::InvalidArgument, "no path"),
        (r#"{"data": "data", "text": "b"}"#, Code::InvalidArgument, "string columns: text"),
        (r#"{"data": "data", "label_column": "id"}"#, Code::InvalidArgument, "already has a column"),
        (r#"{"data": "data", "limits": 1}"#, Code::InvalidArgument, "unknown field"),
        ("{}", Code::InvalidArgument, "no \"data\""),
    ] {
        let (found, message) = refused(&mut client, command).await;
        assert_eq!(found, code, "{command}: {message}");
        assert!(message.contains(text), "{command}: {message}");
    }
}

#[tokio::test]
async fn a_ticket_that_is_not_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 10), 100);
    let mut client = serve(&path).await;
    let ticket = tickets(&info(&mut client, r#"{"data": "data"}"#).await.unwrap()).remove(0).ticket;
    for at in (0..ticket.len()).step_by(7).chain([1, 33, ticket.len() - 1]) {
        let mut forged = ticket.to_vec();
        forged[at] ^= 1;
        for wrong in [forged, ticket[..at].to_vec()] {
            let code = get(&mut client, Ticket::new(wrong)).await.unwrap_err().code();
            assert!([Code::Unauthenticated, Code::InvalidArgument].contains(&code), "{at}: {code:?}");
        }
    }
    assert_eq!(get(&mut client, Ticket::new(ticket)).await.unwrap().num_rows(), 10);
}

#[tokio::test]
async fn a_table_that_was_handed_over_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 10), 3);
    let catalog = catalog();
    catalog.datasets.replace("staged", Arc::new(ParquetFile::open(&path).unwrap())).unwrap();
    let mut client = connect_to(Fake::engine(1000), LIMITS, Memory::default(), catalog.clone()).await;
    let found = info(&mut client, r#"{"data": "staged", "partitions": 2}"#).await.unwrap();
    assert_eq!(ids(&mut client, &found).await.concat(), (0..10).collect::<Vec<_>>());
    catalog.datasets.remove("staged");
    let status = get(&mut client, tickets(&found).remove(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_client_that_goes_or_does_not_read_gives_its_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 200_000), 50_000);
    let catalog = catalog();
    catalog.datasets.add_path("data", &path).unwrap();
    // Room for one window, and hardly more.
    let memory = Memory::new(20 << 20);
    let all = 15 << 20;
    let mut client = connect_to(Fake::engine(1_000_000), LIMITS, memory.clone(), catalog).await;
    let ticket = tickets(&info(&mut client, r#"{"data": "data", "partitions": 1}"#).await.unwrap()).remove(0);

    let mut unread = client.do_get(ticket.clone()).await.unwrap().into_inner();
    assert!(unread.message().await.unwrap().is_some());
    assert!(memory.try_reserve(all).is_err(), "a stream holds its window");
    drop(unread);
    tokio::time::timeout(std::time::Duration::from_secs(20), memory.reserve(all)).await.unwrap().unwrap();

    let mut stalled = client.do_get(ticket).await.unwrap().into_inner();
    assert!(stalled.message().await.unwrap().is_some());
    tokio::time::timeout(std::time::Duration::from_secs(20), memory.reserve(all)).await.unwrap().unwrap();
    let end = loop {
        match stalled.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream succeeded"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end:?}");
}

#[tokio::test]
async fn streams_are_bounded_with_exchanges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &rows(0, 200_000), 50_000);
    let mut client = serve(&path).await;
    let ticket = tickets(&info(&mut client, r#"{"data": "data"}"#).await.unwrap()).remove(0);
    let mut open = Vec::new();
    for _ in 0..LIMITS.streams {
        open.push(client.do_get(ticket.clone()).await.unwrap().into_inner());
    }
    let refused = client.do_get(ticket.clone()).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    drop(open);
    // A stream is closed when the server hears of it.
    loop {
        match client.do_get(ticket.clone()).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::Unavailable),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn files_of_a_folder_have_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.parquet"), &rows(0, 10), 100);
    write(&folder.path().join("b.parquet"), &rows(0, 10).project(&[1]).unwrap(), 100);
    let mut client = serve(folder.path()).await;
    let (code, message) = refused(&mut client, r#"{"data": "data"}"#).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("\"b.parquet\" has not the columns of \"a.parquet\""), "{message}");
    let one = info(&mut client, r#"{"data": "data", "path": "b.parquet"}"#).await.unwrap();
    assert_eq!(one.total_records, 10);
    let listed = listed(&mut client, "data").await.unwrap();
    assert_eq!((listed.len(), listed[0].total_records, listed[0].endpoint.len()), (1, -1, 0));
    assert!(String::from_utf8_lossy(&listed[0].app_metadata).contains("has not the columns"));
}

#[tokio::test]
async fn small_answers_have_room_beside_tables_and_large_ones_are_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (folder.path().join("small.parquet"), folder.path().join("large.parquet"));
    write(&small, &rows(0, 10), 100);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let columns = (0..4000).map(|column| (format!("a number {column}"), Arc::clone(&ids)));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    write(&large, &RecordBatch::try_from_iter(columns.chain([("text".to_owned(), text)])).unwrap(), 100);
    let catalog = catalog();
    catalog.datasets.add_path("small", &small).unwrap();
    catalog.datasets.add_path("large", &large).unwrap();
    let memory = Memory::new(64 << 20);
    let tables = memory.try_reserve(56 << 20).unwrap();
    let mut client = connect_to(Fake::engine(1000), LIMITS, memory, catalog).await;
    assert_eq!(info(&mut client, r#"{"data": "small"}"#).await.unwrap().total_records, 10);
    assert_eq!(listed(&mut client, "small").await.unwrap()[0].total_records, 10);
    assert_eq!(listed(&mut client, "large").await.unwrap_err().code(), Code::Unavailable);
    drop(tables);
    assert_eq!(listed(&mut client, "large").await.unwrap()[0].total_records, 1);
}
