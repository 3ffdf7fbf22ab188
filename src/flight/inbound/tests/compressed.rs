//! What is compressed, by Arrow's format or by gRPC.

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use arrow_flight::{FlightDescriptor, SchemaAsIpc};

use super::*;

/// A batch of one text, compressed, which unpacks to so much.
fn zeros(bytes: usize, codec: CompressionType) -> FlightData {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["0".repeat(bytes)]));
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
    let mut dictionaries = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let (_, batch) = IpcDataGenerator::default().encode(&batch, &mut dictionaries, &options, &mut context).unwrap();
    batch.into()
}

const CODECS: [CompressionType; 2] = [CompressionType::LZ4_FRAME, CompressionType::ZSTD];

#[tokio::test]
async fn what_a_compressed_message_becomes_is_held_too() {
    for codec in CODECS {
        let memory = Memory::new(64 * MIB);
        let data = zeros(16 * MIB, codec);
        assert!(data.encoded_len() < MIB);
        let mut inbound = inbound(&memory, [wire(&data)]);
        assert_eq!(inbound.message().await.unwrap().unwrap().data, data);
        let held = inbound.claimed().remove(0);
        assert!((32 * MIB..36 * MIB).contains(&held.bytes()), "{}", held.bytes());
        drop((held, inbound));
        memory.try_reserve(56 * MIB).unwrap();
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    for codec in CODECS {
        let error = check_error(vec![wire(&zeros(33 * MIB, codec))], "--max-message-mib");
        assert!(matches!(&error, Error::TooLarge(text) if text.contains("unpacked it has 34603")), "{error}");
        // Within the limit of a message, and with its result more than all may hold.
        check_error(vec![wire(&zeros(31 * MIB, codec))], "--memory-limit");
        let mut says_more = zeros(MIB, codec);
        let mut body = says_more.data_body.to_vec();
        let at = body.windows(8).rposition(|bytes| bytes == (MIB as u64).to_le_bytes()).unwrap();
        for (says, expected) in [(i64::MAX, "--max-message-mib"), (-2, "says that it has -2 bytes")] {
            body[at..at + 8].copy_from_slice(&says.to_le_bytes());
            says_more.data_body = Bytes::from(body.clone());
            check_error(vec![wire(&says_more)], expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_message_waits_for_room_but_not_for_ever() {
    let memory = Memory::new(64 * MIB);
    let held = memory.try_reserve(50 * MIB).unwrap();
    let message = wire(&zeros(10 * MIB, CompressionType::ZSTD));
    let mut first = inbound(&memory, [message.clone()]);
    let error = first.message().await.err().unwrap();
    assert!(matches!(&error, Error::Busy(text) if text.contains("no memory to unpack")), "{error}");
    let mut second = inbound(&memory, [message]);
    let mut waiting = Box::pin(second.message());
    assert!((&mut waiting).now_or_never().is_none());
    drop(held);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_small_compressed_message_does_not_wait_for_tables() {
    let memory = Memory::new(64 * MIB);
    let _tables = memory.try_reserve(56 * MIB).unwrap();
    let mut inbound = inbound(&memory, [wire(&zeros(8000, CompressionType::ZSTD))]);
    inbound.message().await.unwrap().unwrap();
    let bytes = inbound.claimed().remove(0).bytes();
    assert!(bytes < SMALL / 2, "{bytes} are held");
}

#[tokio::test]
async fn a_dictionary_is_held_as_long_as_the_call() {
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;
    let memory = Memory::new(64 * MIB);
    let column = DictionaryArray::<Int32Type>::from_iter([Some("a".repeat(8 * MIB).as_str())]);
    let batch = RecordBatch::try_from_iter([("text", Arc::new(column) as ArrayRef)]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut dictionaries = DictionaryTracker::new(false);
    let generator = IpcDataGenerator::default();
    generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut dictionaries, &options);
    let (mut messages, _) =
        generator.encode(&batch, &mut dictionaries, &options, &mut IpcWriteContext::default()).unwrap();
    let mut inbound = inbound(&memory, [wire(&messages.remove(0).into())]);
    drop(inbound.message().await.unwrap().unwrap());
    drop(inbound.claimed());
    assert!(memory.try_reserve(50 * MIB).is_err());
    drop(inbound);
    memory.try_reserve(56 * MIB).unwrap();
}

/// A message that gRPC has compressed.
fn packed(data: &FlightData) -> Bytes {
    let message = zstd::encode_all(&data.encode_to_vec()[..], 1).unwrap();
    let length = (message.len() as u32).to_be_bytes();
    [&[1], &length[..], &message].concat().into()
}

#[tokio::test]
async fn what_grpc_compressed_is_a_message_like_others() {
    let memory = Memory::new(64 * MIB);
    let sent = [texts(1000), FlightData::default(), texts(300_000), texts(0), texts(10 * MIB)];
    let all: Vec<u8> = sent.iter().flat_map(|data| [packed(data), wire(data)]).flatten().collect();
    let mut inbound = inbound(&memory, all.chunks(1000).map(Bytes::copy_from_slice));
    for expected in &sent {
        for way in ["packed", "as it is"] {
            let data = inbound.message().await.unwrap().unwrap().data;
            assert_eq!(&data, expected, "{way}");
            assert_eq!(data.data_body.as_ptr() as usize % if data.data_body.is_empty() { 1 } else { ALIGNMENT }, 0);
            let held = inbound.claimed().remove(0).bytes();
            assert!(held <= 3 * expected.encoded_len() + 64 * 1024, "{way}: {held}");
        }
    }
    assert!(inbound.message().await.unwrap().is_none());
    drop(inbound);
    memory.try_reserve(56 * MIB).unwrap();
}

#[test]
fn what_grpc_compressed_is_bounded_by_what_it_becomes() {
    let bomb = FlightData { app_metadata: Bytes::from(vec![0; 40 * MIB]), ..FlightData::default() };
    assert!(packed(&bomb).len() < MIB);
    check_error(vec![packed(&bomb)], "--max-message-mib");
    check_error(vec![packed(&texts(31 * MIB))], "--memory-limit");
    check_error(vec![packed(&zeros(33 * MIB, CompressionType::ZSTD))], "--max-message-mib");
}

#[tokio::test]
async fn a_small_one_that_grpc_compressed_does_not_wait_for_tables() {
    let memory = Memory::new(64 * MIB);
    let _tables = memory.try_reserve(56 * MIB).unwrap();
    inbound(&memory, [packed(&texts(1000))]).message().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_compressed_message_that_no_header_announced() {
    let body = Body::new(http_body_util::Full::new(packed(&texts(1000))));
    let mut inbound = Inbound::new(body, None, limits(&Memory::new(64 * MIB)), quiet());
    let error = inbound.message().await.err().unwrap();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("grpc-encoding")), "{error}");
}

/// What a client sends of a small table: its descriptor, its schema, and two batches.
fn small_exchange(codec: Option<CompressionType>) -> Vec<FlightData> {
    let descriptor = Some(FlightDescriptor::new_cmd("{}"));
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n("a fine film ".repeat(9), 32)));
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(codec).unwrap();
    let schema: FlightData = SchemaAsIpc::new(&batch.schema(), &options).into();
    let mut context = IpcWriteContext::default();
    let (generator, mut dictionaries) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
    let (_, batch) = generator.encode(&batch, &mut dictionaries, &options, &mut context).unwrap();
    let batch: FlightData = batch.into();
    vec![FlightData { flight_descriptor: descriptor, ..FlightData::default() }, schema, batch.clone(), batch]
}

#[tokio::test]
async fn a_small_exchange_goes_before_a_table_that_waits() {
    let memory = Memory::new(64 * MIB);
    let _tables = memory.try_reserve(50 * MIB).unwrap();
    let mut waiting = std::pin::pin!(memory.reserve(20 * MIB));
    assert!((&mut waiting).now_or_never().is_none());
    for codec in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        for pack in [wire, packed] {
            let messages = small_exchange(codec);
            let mut inbound = inbound(&memory, messages.iter().map(pack));
            // All of them are held to the end.
            let mut held = Vec::new();
            while let Some(message) = inbound.message().now_or_never().expect("nothing to wait for").unwrap() {
                held.push((message, inbound.claimed()));
            }
            assert_eq!(held.len(), messages.len());
        }
    }
}
