use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::source::Source;
use crate::source::parquet::{ParquetFile, testing};
use crate::source::ranged::RangedFile;
use crate::store::testing::{Counting, stores, url};
use crate::store::{FileLocation, ObjectUrl, Stores};

const ROWS: usize = 60_000;

/// A Parquet file in three row groups, of some MiB.
fn parquet() -> Bytes {
    let rows = testing::rows(ROWS);
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties)).unwrap();
    for group in 0..3 {
        writer.write(&rows.slice(group * ROWS / 3, ROWS / 3)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file.into()
}

async fn stored(bytes: &Bytes) -> (Stores, Arc<Counting>, ObjectUrl) {
    let (stores, counting) = stores();
    let url = url("folder/a.parquet");
    stores.put(&url, bytes.clone()).await.unwrap();
    (stores, counting, url)
}

async fn open(stores: &Stores, url: &ObjectUrl) -> crate::Result<Arc<ParquetFile>> {
    let (stores, location) = (stores.clone(), FileLocation::Object(url.clone()));
    crate::panics::blocking(move || ParquetFile::open_at(&location, &stores).map(Arc::new)).await
}

/// The columns `text` and `long`.
async fn texts(file: &Arc<ParquetFile>) -> crate::Result<RecordBatch> {
    let batches: Vec<_> = Arc::clone(file).read(0..9, &[1, 7], 1000).try_collect().await?;
    Ok(concat_batches(&batches[0].schema(), &batches).unwrap())
}

fn local(bytes: &Bytes) -> Arc<ParquetFile> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), bytes).unwrap();
    Arc::new(ParquetFile::open(&folder.path().join("a")).unwrap())
}

/// How many bytes were asked for, none of them twice.
fn asked(counting: &Counting) -> u64 {
    let gets = counting.take_gets();
    for pair in gets.windows(2) {
        assert!(pair[0].end <= pair[1].start, "asked for twice: {pair:?}");
    }
    gets.iter().map(|range| range.end - range.start).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_columns_that_are_read_are_fetched_and_each_byte_once() {
    let bytes = parquet();
    let (stores, counting, url) = stored(&bytes).await;
    let file = open(&stores, &url).await.unwrap();
    assert_eq!(asked(&counting), 4 + (64 << 10));
    let read = texts(&file).await.unwrap();
    assert_eq!(read, texts(&local(&bytes)).await.unwrap());
    assert_eq!(read.num_rows(), ROWS);
    let columns: u64 = (0..3).map(|group| file.bytes(group, &[1, 7]).unwrap()).sum();
    let fetched = asked(&counting);
    assert!((columns - (64 << 10)..=columns).contains(&fetched), "{fetched} of {columns}");
    let counted = stores.counters().traffic();
    assert_eq!((counted.read, counted.written), (4 + (64 << 10) + fetched, bytes.len() as u64));
    file.check_unchanged().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_copied_gives_each_byte_once_also_those_that_are_decoded() {
    let bytes = parquet();
    let (stores, counting, url) = stored(&bytes).await;
    let file = open(&stores, &url).await.unwrap();
    file.keep_passing(0..3, &[1, 7]);
    let copying = Arc::clone(&file);
    // The decoder waits for what has not passed yet.
    let reading = {
        let file = Arc::clone(&file);
        let onward = spawn_blocking(move || copying.bytes_from(4)).await.unwrap();
        let reading = tokio::spawn(async move { texts(&file).await });
        let copied = spawn_blocking(move || {
            let mut copied = Vec::new();
            { onward }.read_to_end(&mut copied).map(|_| copied)
        });
        let data = local(&bytes).data_len() as usize;
        assert_eq!(copied.await.unwrap().unwrap(), bytes[4..data]);
        reading
    };
    assert_eq!(reading.await.unwrap().unwrap(), texts(&local(&bytes)).await.unwrap());
    assert_eq!(asked(&counting), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_done_before_the_copy_begins_leaves_it_what_came() {
    let bytes = parquet();
    let (stores, counting, url) = stored(&bytes).await;
    let file = open(&stores, &url).await.unwrap();
    file.keep_passing(0..3, &[1, 7]);
    assert_eq!(texts(&file).await.unwrap(), texts(&local(&bytes)).await.unwrap());
    let mut copied = Vec::new();
    let copying = Arc::clone(&file);
    let copied = spawn_blocking(move || copying.bytes_from(4).read_to_end(&mut copied).map(|_| copied));
    assert_eq!(copied.await.unwrap().unwrap(), bytes[4..local(&bytes).data_len() as usize]);
    assert_eq!(asked(&counting), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_pass_and_does_not_is_an_error_and_no_hang() {
    let bytes = parquet();
    let (stores, _counting, url) = stored(&bytes).await;
    let file = open(&stores, &url).await.unwrap();
    file.keep_passing(0..3, &[1, 7]);
    let onward = file.bytes_from(4);
    let reading = tokio::spawn({
        let file = Arc::clone(&file);
        async move { texts(&file).await }
    });
    tokio::task::yield_now().await;
    drop(onward);
    // Whether the reader came first or last: it was told, or read for itself.
    match reading.await.unwrap() {
        Ok(read) => assert_eq!(read.num_rows(), ROWS),
        Err(error) => assert_eq!(error.to_string(), format!("{url}: reading was given up")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_expect_comes_though_the_first_goes() {
    let bytes = parquet();
    let (stores, _counting, url) = stored(&bytes).await;
    let object = Arc::new(ObjectFile::new(stores.open(&url).await.unwrap()));
    let range = 1000..bytes.len() as u64 - 1000;
    for _ in 0..20 {
        let first = object.expect(std::slice::from_ref(&range));
        let second = object.expect(std::slice::from_ref(&range));
        drop(first);
        let all = 0..range.end;
        let third = object.expect(std::slice::from_ref(&all));
        spawn_blocking(move || [second, third].iter().try_for_each(Prefetch::ready)).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_made_again_from_where_it_broke() {
    let bytes = parquet();
    let (stores, counting, url) = stored(&bytes).await;
    counting.breaks.store(5, Ordering::Relaxed);
    let file = open(&stores, &url).await.unwrap();
    assert_eq!(texts(&file).await.unwrap().num_rows(), ROWS);
    assert_eq!(counting.breaks.load(Ordering::Relaxed), 0);
    // What did come was not asked for again.
    let columns: u64 = (0..3).map(|group| file.bytes(group, &[1, 7]).unwrap()).sum();
    assert!(stores.counters().traffic().read <= 4 + (64 << 10) + columns);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_gives_nothing_is_given_up() {
    let (stores, counting, url) = stored(&Bytes::from_static(b"0")).await;
    counting.breaks.store(usize::MAX, Ordering::Relaxed);
    let error = open(&stores, &url).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{url}: the store cannot be reached: connection closed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_while_it_is_read_is_an_error() {
    let bytes = parquet();
    let (stores, _counting, url) = stored(&bytes).await;
    let file = open(&stores, &url).await.unwrap();
    stores.put(&url, bytes.clone()).await.unwrap();
    let expected = format!("{url}: it changed while it was read; run again");
    assert_eq!(texts(&file).await.unwrap_err().to_string(), expected);
    let checked = crate::panics::blocking(move || file.check_unchanged()).await;
    assert_eq!(checked.unwrap_err().to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_parquet_or_not_there_is_named() {
    let (stores, _counting, there) = stored(&Bytes::from_static(b"id,text\n1,good\n")).await;
    let error = open(&stores, &there).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{there}: not a Parquet file")), "{error}");
    let error = open(&stores, &url("gone")).await.unwrap_err();
    assert!(
        matches!(&error, crate::Error::NotFound(text) if text == "s3://bucket/gone: there is no such object"),
        "{error}"
    );
    let (stores, _counting, empty) = stored(&Bytes::new()).await;
    assert!(open(&stores, &empty).await.unwrap_err().to_string().contains("not a Parquet file"));
}

/// Lines are read from front to back.
#[tokio::test(flavor = "multi_thread")]
async fn any_object_is_read_from_front_to_back() {
    let bytes: Bytes = (0..9_000_000_u32).map(|number| number as u8).collect::<Vec<_>>().into();
    let (stores, counting, url) = stored(&bytes).await;
    counting.breaks.store(2, Ordering::Relaxed);
    let object = stores.open(&url).await.unwrap();
    let read = spawn_blocking(move || {
        let file = RangedFile::of_object(object);
        let mut read = Vec::new();
        file.onward(10..file.len()).read_to_end(&mut read).unwrap();
        read
    });
    assert_eq!(read.await.unwrap(), bytes[10..]);
    assert_eq!(stores.counters().traffic().read, bytes.len() as u64 - 10);
}

#[test]
fn ranges_are_merged_and_what_is_there_is_left_out() {
    assert_eq!(merged(&[5..7, 0..2, 2..3, 9..9, 6..8]), [0..3, 5..8]);
    assert_eq!(gaps(&(0..10), [2..4, 4..5, 8..12].iter()), [0..2, 5..8]);
    assert!(gaps(&(0..10), std::iter::empty()) == std::slice::from_ref(&(0..10)));
    assert!(gaps(&(3..4), std::iter::once(&(0..10))).is_empty());
}
