//! Sequences of messages: good ones of every kind of column, damaged, in another order, mixed.

use std::sync::{Arc, LazyLock};

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int8Type, Int16Type, Int32Type, Schema, UInt32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryHandling, DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;
use textflight::udf::Function;
use tonic::Code;

use super::calls::damage_descriptor;
use super::damage::{Damage, damage, damaged};
use super::fuzz;
use super::wire::{Outcome, Wire, framed};
use crate::flight::client::{LIMITS, catalog};

/// What is done to a sequence of messages.
#[derive(Debug, Clone)]
enum Step {
    Header(Index, Damage),
    Body(Index, Damage),
    Descriptor(Damage),
    Metadata(Index, Vec<u8>),
    /// The message as it goes over the wire.
    Message(Index, Damage),
    Swap(Index, Index),
    Repeat(Index),
    Remove(Index),
    /// The header, the body, or all of a message out of another sequence.
    Foreign {
        at: Index,
        of: Index,
        part: Part,
    },
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Header,
    Body,
    Message,
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<Index>;
    prop_oneof![
        8 => (at(), damage()).prop_map(|(at, damage)| Step::Header(at, damage)),
        4 => (at(), damage()).prop_map(|(at, damage)| Step::Body(at, damage)),
        1 => damage().prop_map(Step::Descriptor),
        1 => (at(), vec(any::<u8>(), 0..64)).prop_map(|(at, bytes)| Step::Metadata(at, bytes)),
        2 => (at(), damage()).prop_map(|(at, damage)| Step::Message(at, damage)),
        1 => (at(), at()).prop_map(|(one, other)| Step::Swap(one, other)),
        1 => at().prop_map(Step::Repeat),
        1 => at().prop_map(Step::Remove),
        2 => (at(), at(), select(&[Part::Header, Part::Body, Part::Message][..]))
            .prop_map(|(at, of, part)| Step::Foreign { at, of, part }),
    ]
}

/// Commands for all of the sequences.
const COMMANDS: [&str; 4] = [
    r#"{"text": "text"}"#,
    r#"{"text": "text", "details": true, "probabilities": true, "labels": "id"}"#,
    r#"{"text": "text", "label_column": "l", "confidence_column": "c"}"#,
    "",
];

fn command(json: &str) -> FlightDescriptor {
    FlightDescriptor::new_cmd(json.to_owned())
}

fn function(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![name.to_owned()])
}

fn upload() -> FlightDescriptor {
    FlightDescriptor::new_path(vec!["mine".to_owned()])
}

/// The bodies of a call, message by message.
fn pieces(seed: &[FlightData], descriptor: FlightDescriptor, steps: &[Step]) -> Vec<Bytes> {
    let (mut messages, mut encoded) = (seed.to_vec(), Vec::new());
    messages[0].flight_descriptor = Some(descriptor);
    for step in steps {
        apply(step, &mut messages, &mut encoded);
    }
    let mut wire: Vec<Vec<u8>> = messages.iter().map(Message::encode_to_vec).collect();
    for (at, damage) in encoded {
        if !wire.is_empty() {
            let at = at.index(wire.len());
            damage.apply(&mut wire[at]);
        }
    }
    wire.iter().map(|message| framed(message)).collect()
}

/// Does a step; what is to be done to encoded messages is put off.
fn apply(step: &Step, messages: &mut Vec<FlightData>, encoded: &mut Vec<(Index, Damage)>) {
    if messages.is_empty() {
        return;
    }
    let place = |at: &Index| at.index(messages.len());
    let change = |bytes: &Bytes, damage: &Damage| Bytes::from(damaged(bytes, std::slice::from_ref(damage)));
    match step {
        Step::Header(at, damage) => {
            let at = place(at);
            messages[at].data_header = change(&messages[at].data_header, damage);
        }
        Step::Body(at, damage) => {
            let at = place(at);
            messages[at].data_body = change(&messages[at].data_body, damage);
        }
        Step::Descriptor(damage) => {
            if let Some(descriptor) = &mut messages[0].flight_descriptor {
                damage_descriptor(descriptor, std::slice::from_ref(damage));
            }
        }
        Step::Metadata(at, bytes) => {
            let at = place(at);
            messages[at].app_metadata = bytes.clone().into();
        }
        Step::Message(at, damage) => encoded.push((*at, damage.clone())),
        Step::Swap(one, other) => {
            let (one, other) = (place(one), place(other));
            messages.swap(one, other);
        }
        Step::Repeat(at) => {
            let at = place(at);
            messages.insert(at, messages[at].clone());
        }
        Step::Remove(at) => {
            let at = place(at);
            messages.remove(at);
        }
        Step::Foreign { at, of, part } => {
            let at = place(at);
            let foreign: Vec<&FlightData> = SEEDS.iter().flatten().collect();
            let foreign = foreign[of.index(foreign.len())];
            match part {
                Part::Header => messages[at].data_header = foreign.data_header.clone(),
                Part::Body => messages[at].data_body = foreign.data_body.clone(),
                Part::Message => messages.insert(at, foreign.clone()),
            }
        }
    }
}

/// Good sequences, a few messages each.
static SEEDS: LazyLock<Vec<Vec<FlightData>>> = LazyLock::new(|| {
    let plain = IpcWriteOptions::default();
    let mut seeds: Vec<_> = tables().into_iter().map(|table| sequence(&halves(&table), plain.clone())).collect();
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let compressed = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
        seeds.push(sequence(&[strings(200)], compressed));
    }
    let deltas = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    seeds.push(sequence(&growing_dictionary(), deltas));
    seeds
});

/// The schema, and all dictionaries and batches.
fn sequence(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<FlightData> {
    let (generator, mut tracker) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
    let schema = batches[0].schema();
    let mut messages: Vec<FlightData> =
        vec![generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, &options).into()];
    let mut context = IpcWriteContext::default();
    for batch in batches {
        let (dictionaries, batch) = generator.encode(batch, &mut tracker, &options, &mut context).unwrap();
        messages.extend(dictionaries.into_iter().chain([batch]).map(FlightData::from));
    }
    messages
}

/// A table in two batches.
fn halves(table: &RecordBatch) -> Vec<RecordBatch> {
    let half = table.num_rows() / 2;
    vec![table.slice(0, half), table.slice(half, table.num_rows() - half)]
}

const TEXTS: [Option<&str>; 6] =
    [Some("good"), None, Some(""), Some("a much longer text, of more than 12 bytes"), Some("bad"), Some("é 漢 🎉")];

fn texts(count: usize) -> impl Iterator<Item = Option<&'static str>> {
    TEXTS.into_iter().cycle().take(count)
}

fn strings(count: usize) -> RecordBatch {
    table(vec![
        ("text", Arc::new(StringArray::from_iter(texts(count)))),
        ("id", Arc::new(Int64Array::from_iter_values(0..count as i64))),
    ])
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// The dictionary of the second batch begins with that of the first.
fn growing_dictionary() -> Vec<RecordBatch> {
    let batch = |values: &[&str]| {
        let column: DictionaryArray<Int32Type> = values.iter().copied().collect();
        table(vec![("text", Arc::new(column))])
    };
    vec![batch(&["a", "b", "a"]), batch(&["a", "b", "cc", "cc"])]
}

/// A table for each kind of text, with neighbours of other kinds.
fn tables() -> Vec<RecordBatch> {
    let int8: DictionaryArray<Int8Type> = texts(12).collect();
    let int16: DictionaryArray<Int16Type> = texts(12).collect();
    let uint32: DictionaryArray<UInt32Type> = texts(12).collect();
    let run_ends = RunArray::<Int32Type>::from_iter(["a", "a", "b", "b", "b", "c"].map(Some));
    let bytes = BinaryArray::from_iter(texts(12).map(|text| text.map(str::as_bytes)));
    vec![
        strings(12),
        table(vec![("text", Arc::new(LargeStringArray::from_iter(texts(12)))), ("flag", flags(12))]),
        table(vec![("text", Arc::new(StringViewArray::from_iter(texts(12)))), ("it", lists(12))]),
        table(vec![("text", Arc::new(int8)), ("other", Arc::new(int16))]),
        table(vec![("text", Arc::new(uint32)), ("it", structs(12))]),
        table(vec![("text", Arc::new(NullArray::new(12))), ("it", maps(12))]),
        table(vec![("text", Arc::new(bytes)), ("price", Arc::new(Decimal128Array::from_iter((0..12).map(Some))))]),
        table(vec![("text", Arc::new(StringArray::from_iter(texts(6)))), ("run", Arc::new(run_ends))]),
        table(vec![("text", Arc::new(StringArray::from_iter(texts(6)))), ("it", unions())]),
        concat_batches(&strings(0).schema(), &[]).unwrap(),
    ]
}

fn flags(count: usize) -> ArrayRef {
    Arc::new((0..count).map(|row| (row % 3 != 0).then_some(row % 2 == 0)).collect::<BooleanArray>())
}

fn lists(count: usize) -> ArrayRef {
    let items = Arc::new(StringArray::from_iter(texts(count * 2)));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(2, count));
    let nulls = NullBuffer::from_iter((0..count).map(|row| row % 4 != 0));
    Arc::new(ListArray::new(Arc::new(Field::new_list_field(DataType::Utf8, true)), offsets, items, Some(nulls)))
}

fn structs(count: usize) -> ArrayRef {
    let fields =
        Schema::new(vec![Field::new("title", DataType::Utf8, true), Field::new("flag", DataType::Boolean, true)]);
    Arc::new(StructArray::new(fields.fields, vec![Arc::new(StringArray::from_iter(texts(count))), flags(count)], None))
}

fn maps(count: usize) -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..count {
        maps.keys().append_value(format!("k{row}"));
        maps.values().append_value(row as i32);
        maps.append(row % 5 != 0).unwrap();
    }
    Arc::new(maps.finish())
}

fn unions() -> ArrayRef {
    let mut union = UnionBuilder::new_dense();
    for row in 0..3 {
        union.append::<Int32Type>("number", row).unwrap();
        union.append::<arrow::datatypes::Float64Type>("real", f64::from(row)).unwrap();
    }
    Arc::new(union.build().unwrap())
}

#[test]
fn the_sequences_themselves_pass() {
    let wire = Wire::new();
    for (number, seed) in SEEDS.iter().enumerate() {
        for json in COMMANDS {
            let Outcome { status, answer } = wire.call("DoExchange", pieces(seed, command(json), &[])).unwrap();
            let is_one_of_many = json.is_empty() && status.message().contains("string column");
            assert!(status.code() == Code::Ok || is_one_of_many, "sequence {number}, {json:?}: {status:?}");
            assert_eq!(status.code() == Code::Ok, !answer.is_empty());
        }
    }
}

#[test]
fn exchanges() {
    let wire = Wire::new();
    let inputs = (any::<Index>(), select(&COMMANDS[..]), vec(step(), 1..6));
    fuzz(1500, inputs, |(seed, json, steps)| {
        let seed = &SEEDS[seed.index(SEEDS.len())];
        // A descriptor may have become one of a function.
        let fair = [Code::InvalidArgument, Code::NotFound];
        wire.check("DoExchange", pieces(seed, command(json), &steps), &fair)?;
        let good = wire.check("DoExchange", pieces(&SEEDS[0], command(COMMANDS[0]), &[]), &[])?;
        prop_assert!(!good.answer.is_empty(), "the next client is not served");
        Ok(())
    });
}

/// Arguments of functions: the texts of each table alone.
static ARGUMENTS: LazyLock<Vec<Vec<FlightData>>> = LazyLock::new(|| {
    let texts = tables().into_iter().map(|table| table.project(&[0]).unwrap());
    texts.map(|texts| sequence(&halves(&texts), IpcWriteOptions::default())).collect()
});

#[test]
fn calls_of_functions() {
    let wire = Wire::new();
    let names = Function::ALL.map(Function::name);
    let inputs = (any::<Index>(), select(names.to_vec()), vec(step(), 0..6));
    fuzz(600, inputs, |(seed, name, steps)| {
        let seed = &ARGUMENTS[seed.index(ARGUMENTS.len())];
        let fair = [Code::InvalidArgument, Code::NotFound];
        wire.check("DoExchange", pieces(seed, function(name), &steps), &fair)?;
        let good = wire.check("DoExchange", pieces(&ARGUMENTS[0], function(names[0]), &[]), &[])?;
        prop_assert!(!good.answer.is_empty(), "the next client is not served");
        Ok(())
    });
}

/// What is refused leaves nothing behind, and what is taken in one upload.
#[test]
fn uploads() {
    fuzz(600, (any::<Index>(), vec(step(), 0..6)), |(seed, steps)| {
        let catalog = catalog();
        let uploads = catalog.uploads.clone();
        let wire = Wire::of(catalog);
        let pieces = pieces(&SEEDS[seed.index(SEEDS.len())], upload(), &steps);
        let outcome = wire.check("DoPut", pieces, &[Code::InvalidArgument])?;
        let counts = uploads.counts();
        let staged = usize::from(outcome.status.code() == Code::Ok);
        prop_assert_eq!((counts.open, counts.staged), (0, staged), "{:?}", outcome.status);
        prop_assert!(staged == 1 || !steps.is_empty(), "a good one is refused: {:?}", outcome.status);
        Ok(())
    });
}

/// A client sees no error that is longer than what it takes.
#[test]
fn names_without_end() {
    let wire = Wire::new();
    for name in ["a", "\u{1f389}", "%"] {
        let name = name.repeat(LIMITS.message_bytes / 2 / name.len());
        let pieces = pieces(&SEEDS[0], command(&format!(r#"{{"text": "{name}"}}"#)), &[]);
        let outcome = wire.check("DoExchange", pieces, &[Code::InvalidArgument]).unwrap();
        assert!(outcome.status.message().ends_with("not found; string columns: text"), "{:?}", outcome.status);
    }
}
