use std::time::Duration;

use arrow::array::{DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Schema};
use arrow::ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow::ipc::{CompressionType, MetadataVersion};
use futures::{StreamExt, stream};

use super::*;
use crate::memory::Memory;

const MIB: usize = 1 << 20;

/// The end of a stream, with its mark.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn limits(memory: &Memory) -> MessageLimits {
    MessageLimits { memory: memory.clone(), message_bytes: MIB, row_bytes: 100, patience: Duration::from_secs(5) }
}

fn opened(memory: &Memory, bytes: &[u8], piece: usize) -> ArrowStream {
    let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    ArrowStream::new(stream::iter(pieces).boxed(), limits(memory))
}

/// All batches of a stream that comes in pieces of this size.
async fn read(bytes: &[u8], piece: usize) -> Result<Vec<RecordBatch>> {
    let memory = Memory::new(64 * MIB);
    let mut stream = opened(&memory, bytes, piece);
    let mut batches = Vec::new();
    let schema = stream.schema().await?;
    while let Some(received) = stream.next().await? {
        assert!(received.bytes <= memory.held() && !received.memory.is_empty());
        batches.push(received.rows);
    }
    drop((stream, schema));
    assert_eq!(memory.held() > 0, !batches.is_empty());
    Ok(batches)
}

async fn refused(bytes: &[u8]) -> String {
    let text = read(bytes, 1000).await.unwrap_err().to_string();
    assert_eq!(read(bytes, 3).await.unwrap_err().to_string(), text);
    text
}

fn written(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

fn batch(rows: i64) -> RecordBatch {
    let texts =
        StringArray::from_iter((0..rows).map(|n| (n % 3 > 0).then(|| format!("{n} is a text, and no short one"))));
    let kinds: DictionaryArray<Int32Type> = (0..rows).map(|n| if n % 2 == 0 { "even" } else { "odd" }).collect();
    let ids = Int64Array::from_iter_values(0..rows);
    let columns: [(&str, ArrayRef); 3] = [("text", Arc::new(texts)), ("kind", Arc::new(kinds)), ("id", Arc::new(ids))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn plain() -> Vec<u8> {
    written(&[batch(5), batch(0), batch(70)], IpcWriteOptions::default())
}

#[tokio::test]
async fn batches_come_as_they_were_however_they_are_cut() {
    let batches = [batch(5), batch(0), batch(70)];
    let compressed = |codec| IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
    for options in [
        IpcWriteOptions::default(),
        compressed(CompressionType::LZ4_FRAME),
        compressed(CompressionType::ZSTD),
        IpcWriteOptions::try_new(8, true, MetadataVersion::V4).unwrap(),
    ] {
        let bytes = written(&batches, options);
        for piece in [1, 7, 64, usize::MAX] {
            assert_eq!(read(&bytes, piece).await.unwrap(), batches, "{piece}");
        }
        // The mark at the end may be left out.
        let mark = if bytes.ends_with(&END) { 8 } else { 4 };
        assert_eq!(read(&bytes[..bytes.len() - mark], 1000).await.unwrap(), batches);
    }
    assert_eq!(read(&written(&[batch(0)], IpcWriteOptions::default()), 9).await.unwrap(), [batch(0)]);
}

#[tokio::test]
async fn dictionaries_come_anew_and_in_parts() {
    let kinds = |values: &[&str]| {
        let column: DictionaryArray<Int32Type> = values.iter().copied().collect();
        RecordBatch::try_from_iter([("kind", Arc::new(column) as ArrayRef)]).unwrap()
    };
    for (second, handling) in [(&["b", "c"], DictionaryHandling::Resend), (&["a", "b"], DictionaryHandling::Delta)] {
        let batches = [kinds(&["a"]), kinds(second), kinds(&["a"])];
        let options = IpcWriteOptions::default().with_dictionary_handling(handling);
        let got = read(&written(&batches, options), 50).await.unwrap();
        let texts =
            |batch: &RecordBatch| arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        assert!(got.iter().map(texts).eq(batches.iter().map(texts)), "{handling:?}");
    }
}

#[tokio::test]
async fn what_is_no_stream_says_what_it_is() {
    let good = plain();
    let header = i32::from_le_bytes(*good[4..].first_chunk().unwrap()) as usize;
    let (schema, rest) = good.split_at(8 + header);
    assert!(refused(b"").await.contains("it has no schema"));
    assert!(refused(&END).await.contains("it has no schema"));
    assert!(refused(b"ARROW1\0\0and more").await.contains("it is a file of Arrow IPC"));
    assert!(refused(b"{\"a\": 1}").await.contains("does not begin as an Arrow stream"));
    assert!(refused(rest).await.contains("before the schema"));
    assert!(refused(&[schema, &good].concat()).await.contains("a second schema"));
    assert!(refused(&[&good, &good[..]].concat()).await.contains("more comes behind its end"));
    assert!(refused(&[0xff; 40]).await.contains("a header of 4294967295 bytes"));
    for cut in [1, 6, 30, header, good.len() - 9, good.len() - 5] {
        assert!(refused(&good[..cut]).await.contains("it ends inside of a message"), "{cut}");
    }
    let mut garbled = good.clone();
    garbled[20..60].fill(0x7f);
    assert!(refused(&garbled).await.contains("cannot be decoded"));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_comes() {
    let long = |text: &str| {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values([text.repeat(2 * MIB)]));
        RecordBatch::try_from_iter([("text", column)]).unwrap()
    };
    let bytes = written(&[long("a")], IpcWriteOptions::default());
    let error = read(&bytes[..2000], 100).await.unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("--max-message-mib")), "{error}");
    // So is one that only becomes so.
    let packed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let bytes = written(&[long("a")], packed);
    assert!(bytes.len() < 10_000);
    let error = read(&bytes, 100).await.unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("unpacked it has")), "{error}");
    // A header that claims to be as long is not waited for.
    let error = read(&[&[0xff; 4][..], &(i32::MAX).to_le_bytes()].concat(), 100).await.unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("its header has")), "{error}");
}

#[tokio::test]
async fn memory_is_taken_before_a_message_is_read_and_given_back_with_it() {
    let memory = Memory::new(64 * MIB);
    let mut stream = opened(&memory, &plain(), 100);
    let schema = stream.schema().await.unwrap();
    drop(schema);
    let first = stream.next().await.unwrap().unwrap();
    let held = memory.held();
    assert!(held > first.bytes);
    drop(first);
    assert!(memory.held() < held);
    drop(stream);
    assert_eq!(memory.held(), 0);
    // Others hold what it needs: it waits.
    let _others = memory.reserve(56 * MIB).await.unwrap();
    let mut wide = opened(&memory, &many_columns(), 1 << 16);
    let waits = tokio::time::timeout(Duration::from_millis(50), wide.schema()).await;
    assert!(waits.is_err());
}

/// A schema whose header is not looked at before it has memory.
fn many_columns() -> Vec<u8> {
    let fields =
        (0..2000).map(|n| arrow::datatypes::Field::new(format!("column {n}"), arrow::datatypes::DataType::Int8, true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    StreamWriter::try_new(Vec::new(), &schema).unwrap().into_inner().unwrap()
}

#[tokio::test]
async fn a_wide_schema_is_read() {
    let memory = Memory::new(64 * MIB);
    let mut wide = opened(&memory, &many_columns(), 5000);
    assert_eq!(wide.schema().await.unwrap().0.fields().len(), 2000);
}

#[tokio::test]
async fn pieces_that_fail_say_why() {
    let pieces = [Ok(Bytes::from(plain()[..50].to_vec())), Err(Error::Stalled("nothing came".to_owned()))];
    let mut stream = ArrowStream::new(stream::iter(pieces).boxed(), limits(&Memory::default()));
    assert!(matches!(stream.schema().await, Err(Error::Stalled(_))));
}
