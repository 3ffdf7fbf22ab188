//! What is done with a store, done with a real one: `tests/python/test_stores.py` starts servers, says by variables where, and runs
//! each of these, which are ignored without it. The same is tested in memory beside the code.

use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use textflight::Error;
use textflight::source::Source;
use textflight::source::parquet::ParquetFile;
use textflight::store::{FileLocation, ObjectUrl, StoreOptions, Stores};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

const ROWS: i64 = 12_000;
const TEXT: usize = 1;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/python/test_stores.py"))
}

fn object(url: &str) -> ObjectUrl {
    match FileLocation::parse(url.as_ref()).unwrap() {
        FileLocation::Object(url) => url,
        other => panic!("{other} is no object"),
    }
}

/// A table of 22 MiB, most of which is no text.
fn table() -> Bytes {
    let id: Int64Array = (0..ROWS).collect();
    let text: StringArray = (0..ROWS).map(|row| Some(format!("{row}: as good as the last one"))).collect();
    let mut state = 7_u64;
    let noise = (0..ROWS).map(|_| {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as u8
        };
        Some((0..1900).map(|_| next()).collect::<Vec<u8>>())
    });
    let noise = BinaryArray::from_iter(noise);
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("noise", DataType::Binary, true),
    ];
    let columns = vec![Arc::new(id) as _, Arc::new(text) as _, Arc::new(noise) as _];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED);
    let properties = properties.set_max_row_group_row_count(Some(4000)).set_dictionary_enabled(false).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file.into()
}

async fn upload(stores: &Stores, url: &ObjectUrl, bytes: &Bytes) {
    let (upload, mut writer) = stores.create(url, &object(&format!("{url}.note")), Some(bytes.len() as u64)).unwrap();
    let written = bytes.clone();
    let written = spawn_blocking(move || {
        written.chunks(1 << 20).try_for_each(|piece| writer.write_all(piece)).and_then(|()| writer.finish())
    });
    written.await.unwrap().unwrap();
    assert!(matches!(stores.head(url).await, Err(Error::NotFound(_))), "an upload is seen before it is complete");
    upload.commit().await.unwrap();
}

async fn open(stores: &Stores, url: &ObjectUrl) -> Result<Arc<ParquetFile>, Error> {
    let (stores, location) = (stores.clone(), FileLocation::Object(url.clone()));
    spawn_blocking(move || ParquetFile::open_at(&location, &stores).map(Arc::new)).await.unwrap()
}

async fn texts(file: &Arc<ParquetFile>) -> StringArray {
    let batches: Vec<_> = Arc::clone(file).read(0..9, &[TEXT], 1000).try_collect().await.unwrap();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let bytes = arrow::compute::cast(all.column(0), &DataType::Utf8).unwrap();
    bytes.as_any().downcast_ref::<StringArray>().unwrap().clone()
}

/// Small objects, a table written in parts, its text read, and the whole of it copied while its text is kept.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/python/test_stores.py starts the server that it needs"]
async fn a_real_store_takes_and_gives() {
    let stores = Stores::new(StoreOptions::default(), Handle::current());
    let folder = object(&variable("TEXTFLIGHT_TEST_STORE"));
    for name in ["notes/a%3Ab=1/x y+z.txt", "notes/b.txt"] {
        stores.put(&folder.join(name), Bytes::from(name)).await.unwrap();
        assert_eq!(stores.get(&folder.join(name), 100).await.unwrap(), name.as_bytes());
    }
    let mut listed: Vec<_> = stores.list(&folder.join("notes"), Some).await.unwrap();
    listed.sort_by_key(|entry| entry.url.clone());
    let names: Vec<_> = listed.iter().map(|entry| entry.url.to_string()).collect();
    assert_eq!(names, [format!("{folder}/notes/a%3Ab=1/x y+z.txt"), format!("{folder}/notes/b.txt")]);
    stores.delete(&folder.join("notes/b.txt")).await.unwrap();
    assert!(matches!(stores.head(&folder.join("notes/b.txt")).await, Err(Error::NotFound(_))));

    let (bytes, url) = (table(), folder.join("table.parquet"));
    upload(&stores, &url, &bytes).await;
    let before = stores.counters().traffic().read;
    let file = open(&stores, &url).await.unwrap();
    let expected: StringArray = (0..ROWS).map(|row| Some(format!("{row}: as good as the last one"))).collect();
    assert_eq!(texts(&file).await, expected);
    let column: u64 = (0..3).map(|group| file.bytes(group, &[TEXT]).unwrap()).sum();
    let read = stores.counters().traffic().read - before;
    assert!(read <= column + (64 << 10) + 4, "{read} bytes were read for a column of {column}");

    let before = stores.counters().traffic().read;
    let file = open(&stores, &url).await.unwrap();
    file.keep_passing(0..3, &[TEXT]);
    let copying = Arc::clone(&file);
    let copied = spawn_blocking(move || {
        let mut copied = Vec::new();
        copying.bytes_from(4).read_to_end(&mut copied).map(|_| copied).unwrap()
    });
    assert!(copied.await.unwrap() == bytes[4..usize::try_from(file.data_len()).unwrap()], "the copy differs");
    assert_eq!(texts(&file).await, expected);
    assert_eq!(stores.counters().traffic().read - before, bytes.len() as u64, "each byte is read once");
    stores.delete(&url).await.unwrap();
}

/// A table that others wrote, read by URL; so many rows are expected.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/python/test_stores.py starts the server that it needs"]
async fn a_table_of_others_is_read() {
    let stores = Stores::new(StoreOptions::default(), Handle::current());
    let file = open(&stores, &object(&variable("TEXTFLIGHT_TEST_TABLE"))).await.unwrap();
    assert_eq!(file.rows().to_string(), variable("TEXTFLIGHT_TEST_ROWS"));
}

/// What is said of an object that cannot be had.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/python/test_stores.py starts the server that it needs"]
async fn a_real_store_says_what_is_wrong() {
    let stores = Stores::new(StoreOptions::default(), Handle::current());
    let error = open(&stores, &object(&variable("TEXTFLIGHT_TEST_WRONG"))).await.unwrap_err();
    assert!(error.to_string().contains(&variable("TEXTFLIGHT_TEST_ERROR")), "{error:?}");
}
