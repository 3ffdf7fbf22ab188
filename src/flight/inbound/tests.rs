//! Messages as they come: whole, broken, late, and what they hold.

use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, NullArray, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::flight::encode::Encoder;
use crate::memory::Memory;
use crate::readiness::Readiness;
use crate::source::ipc::ALIGNMENT;

mod compressed;

const MIB: usize = 1024 * 1024;

fn limits(memory: &Memory) -> MessageLimits {
    MessageLimits { memory: memory.clone(), message_bytes: 32 * MIB, row_bytes: 100, patience: Duration::from_secs(5) }
}

fn quiet() -> Quiet {
    Quiet::new(Duration::from_hours(1), Readiness::loading())
}

/// A call whose body comes in these pieces, and then ends.
fn inbound(memory: &Memory, pieces: impl IntoIterator<Item = Bytes>) -> Inbound {
    let pieces: Vec<Bytes> = pieces.into_iter().collect();
    open(memory, stream::iter(pieces).boxed())
}

/// A call whose body comes as this stream does.
fn open(memory: &Memory, pieces: BoxStream<'static, Bytes>) -> Inbound {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    Inbound::new(Body::new(StreamBody::new(frames)), Some(MessageEncoding::Zstd), limits(memory), quiet())
}

fn wire(data: &FlightData) -> Bytes {
    let message = data.encode_to_vec();
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], &message].concat().into()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> FlightData {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let (mut encoder, _) = Encoder::new(&batch.schema());
    encoder.encode(&batch, Bytes::from_static(b"metadata")).unwrap().pop().unwrap()
}

/// A batch of a column of texts, all of them together so large.
fn texts(bytes: usize) -> FlightData {
    let text = "a".repeat(1000);
    batch(vec![("text", Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&text, bytes / 1000))))])
}

#[tokio::test]
async fn messages_come_whole_however_they_are_cut() {
    let memory = Memory::new(64 * MIB);
    let sent = [texts(1000), FlightData::default(), texts(300_000), texts(0)];
    let all: Vec<u8> = sent.iter().flat_map(wire).collect();
    for piece in [1, 7, 16_384, all.len()] {
        let mut inbound = inbound(&memory, all.chunks(piece).map(Bytes::copy_from_slice));
        for expected in &sent {
            assert_eq!(&inbound.message().await.unwrap().unwrap().data, expected);
        }
        assert!(inbound.message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn columns_lie_where_arrow_can_read_them() {
    let memory = Memory::new(64 * MIB);
    for metadata in 0..65 {
        let data = FlightData { app_metadata: Bytes::from(vec![1; metadata]), ..texts(300_000) };
        let message = inbound(&memory, [wire(&data)]).message().await.unwrap().unwrap().data;
        assert_eq!(message.data_body.as_ptr() as usize % ALIGNMENT, 0, "{metadata}");
    }
}

#[track_caller]
fn check_error(pieces: Vec<Bytes>, expected: &str) -> Error {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _timers = runtime.enter();
    let memory = Memory::new(64 * MIB);
    let mut inbound = inbound(&memory, pieces);
    let error = loop {
        match inbound.message().now_or_never().expect("nothing to wait for") {
            Ok(message) => assert!(message.is_some(), "{expected}: no error"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains(expected), "{expected:?} is not in {error}");
    drop(inbound);
    memory.try_reserve(56 * MIB).expect("all is given back");
    error
}

#[test]
fn what_is_no_message() {
    let good = wire(&texts(300_000));
    for cut in [1, 4, 5, 6, 1000, good.len() - 1] {
        check_error(vec![good.slice(..cut)], "it ended inside of a message");
    }
    check_error(vec![Bytes::from_static(&[1, 0, 0, 0, 1, 0])], "cannot be unpacked");
    check_error(vec![Bytes::from_static(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff])], "cannot be decoded");
    check_error(vec![good, Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff])], "--max-message-mib");
}

#[test]
fn what_no_memory_would_do_for_is_refused_before_it_comes() {
    let large = wire(&texts(31 * MIB));
    let error = check_error(vec![large.slice(..GLANCE + PREFIX)], "--memory-limit");
    assert!(matches!(error, Error::TooLarge(_)));
}

#[test]
fn rows_without_bytes_count() {
    let rows = 10_000_000;
    let nulls = batch(vec![("text", Arc::new(NullArray::new(rows)))]);
    assert!(nulls.encoded_len() < 1000);
    check_error(vec![wire(&nulls)], "--memory-limit");
    let empty = StringArray::from(vec![None::<&str>; 1_000_000]);
    let flags = batch(vec![("flag", Arc::new(BooleanArray::from(vec![true; 1_000_000]))), ("text", Arc::new(empty))]);
    check_error(vec![wire(&flags)], "--memory-limit");
}

#[test]
fn rows_count_wherever_their_header_stands() {
    let nulls = batch(vec![("text", Arc::new(NullArray::new(10_000_000)))]);
    let column = FlightData { data_body: Bytes::from_static(&[0; 64]), ..FlightData::default() };
    let metadata = FlightData { app_metadata: Bytes::from_static(b"first"), ..FlightData::default() };
    let few = batch(vec![("text", Arc::new(NullArray::new(1)))]);
    for before in [column, metadata, few] {
        // Fields in any order, and the last of those that come twice: so protobuf has it.
        let message = [before.encode_to_vec(), nulls.encode_to_vec()].concat();
        let length = (message.len() as u32).to_be_bytes();
        check_error(vec![[&[0], &length[..], &message].concat().into()], "--memory-limit");
        let message = zstd::encode_all(&message[..], 1).unwrap();
        let length = (message.len() as u32).to_be_bytes();
        check_error(vec![[&[1], &length[..], &message].concat().into()], "--memory-limit");
    }
}

#[test]
fn columns_without_bytes_count() {
    let column: ArrayRef = Arc::new(NullArray::new(1));
    let names: Vec<String> = (0..400_000).map(|column| column.to_string()).collect();
    check_error(
        vec![wire(&batch(names.iter().map(|name| (name.as_str(), Arc::clone(&column))).collect()))],
        "--memory-limit",
    );
}

#[tokio::test]
async fn a_message_waits_for_memory_and_holds_it_with_all_that_keeps_its_bytes() {
    let memory = Memory::new(64 * MIB);
    let held = memory.try_reserve(50 * MIB).unwrap();
    let mut inbound = inbound(&memory, [wire(&texts(10 * MIB))]);
    let mut waiting = Box::pin(inbound.message());
    assert!((&mut waiting).now_or_never().is_none());
    drop(held);
    let data = waiting.await.unwrap().unwrap().data;
    let reservation = inbound.claimed().remove(0);
    assert!(reservation.bytes() > 20 * MIB && reservation.bytes() < 24 * MIB, "{}", reservation.bytes());
    drop(reservation);
    assert!(memory.try_reserve(40 * MIB).is_err());
    let columns = data.data_body;
    assert!(memory.try_reserve(40 * MIB).is_err());
    drop(columns);
    drop((data.data_header, data.app_metadata));
    memory.try_reserve(56 * MIB).unwrap();
}

#[tokio::test]
async fn the_first_small_messages_do_not_wait_for_tables_and_more_of_them_do() {
    let memory = Memory::new(64 * MIB);
    let _tables = memory.try_reserve(56 * MIB).unwrap();
    // Each takes a little less than a small request may.
    let mut inbound = inbound(&memory, std::iter::repeat_n(wire(&texts(100_000)), 3));
    let _first = inbound.message().await.unwrap().unwrap();
    let _second = inbound.message().await.unwrap().unwrap();
    assert!(inbound.message().now_or_never().is_none());
}

#[tokio::test]
async fn one_small_message_after_another_uses_the_reserve() {
    let memory = Memory::new(64 * MIB);
    let _tables = memory.try_reserve(56 * MIB).unwrap();
    let mut inbound = inbound(&memory, std::iter::repeat_n(wire(&texts(1000)), 100));
    for _ in 0..100 {
        inbound.message().await.unwrap().unwrap();
        inbound.claimed();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_which_nothing_comes_but_its_length_is_silence() {
    let message = wire(&texts(300_000));
    for cut in [0, 1, PREFIX, PREFIX + 100] {
        let pieces = stream::iter([message.slice(..cut)]).chain(stream::pending());
        let began = Instant::now();
        let error = open(&Memory::new(64 * MIB), pieces.boxed()).message().await.err().unwrap();
        assert!(matches!(&error, Error::Stalled(text) if text.contains("--exchange-idle-timeout")), "{cut}: {error}");
        assert_eq!(began.elapsed(), Duration::from_hours(1), "{cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_trickles_is_given_up_and_its_memory_given_back() {
    let memory = Memory::new(64 * MIB);
    let large = wire(&texts(10 * MIB));
    let drops = stream::iter(large.slice(GLANCE + PREFIX..)).then(async |byte| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Bytes::from(vec![byte])
    });
    let mut inbound = open(&memory, stream::iter([large.slice(..GLANCE + PREFIX)]).chain(drops).boxed());
    let began = Instant::now();
    let error = inbound.message().await.err().unwrap();
    assert!(matches!(&error, Error::Stalled(text) if text.contains("too slowly")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15));
    drop(inbound);
    memory.try_reserve(56 * MIB).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_keeps_dictionaries_does_not_wait_for_ever() {
    let memory = Memory::new(64 * MIB);
    let schema = Schema::new(vec![arrow::datatypes::Field::new("text", arrow::datatypes::DataType::Utf8, true)]);
    let (_, mut schema) = Encoder::new(&schema);
    schema.app_metadata = Bytes::from(vec![0; MIB]);
    let mut inbound = inbound(&memory, [wire(&schema), wire(&texts(10 * MIB))]);
    let _kept = inbound.message().await.unwrap().unwrap();
    let _others = memory.try_reserve(40 * MIB).unwrap();
    let error = inbound.message().await.err().unwrap();
    assert!(matches!(&error, Error::Busy(text) if text.contains("try again later")), "{error}");
}

#[tokio::test]
async fn numbers_come_too() {
    let memory = Memory::new(64 * MIB);
    let data = batch(vec![("n", Arc::new((0..1000).collect::<Int64Array>()))]);
    assert_eq!(inbound(&memory, [wire(&data)]).message().await.unwrap().unwrap().data, data);
}
