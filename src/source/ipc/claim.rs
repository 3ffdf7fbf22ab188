//! How much memory a message takes with all that is made of it, by what its header says.

use std::collections::HashMap;

use arrow::ipc::{self, MessageHeader, RecordBatch};

use crate::ipc_compression::is_compressed;
use crate::memory::{Reservation, SMALL};

/// What every message takes: its arrays, its place among those in flight.
const BASE: usize = 4 * 1024;

/// How much larger a schema is once it is read, with those that are made of it.
const SCHEMA: usize = 8;

/// What an array and its buffers take besides what they hold, each of them.
const ARRAY: usize = 256;
const BUFFER: usize = 128;

/// Each element of one of a batch's arrays takes so many bytes beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Which array: in Arrow IPC's order, where each is followed by those inside of it.
    pub node: usize,
    /// Bytes of an element.
    pub bytes: usize,
}

/// What a stream's messages take, and which of it the stream keeps to its end.
pub struct Claims {
    row_bytes: usize,
    weights: Vec<Weight>,
    schema: usize,
    dictionaries: HashMap<i64, Dictionary>,
}

/// A dictionary that the stream keeps.
struct Dictionary {
    bytes: usize,
    /// Its arrays need not lie in its message: they were unpacked, or made of several.
    _memory: Reservation,
}

/// What can be said of a message by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it takes, in bytes.
    pub bytes: usize,
    /// How many of its bytes are columns, which come last.
    pub body: usize,
}

impl Claims {
    /// Those of a stream in which a row takes so many bytes beside its columns.
    pub fn new(row_bytes: usize) -> Self {
        Self { row_bytes, weights: Vec::new(), schema: 0, dictionaries: HashMap::new() }
    }

    /// From now on elements of arrays take so much, and not rows.
    pub fn weigh(&mut self, weights: &[Weight]) {
        self.row_bytes = 0;
        self.weights = weights.to_vec();
    }

    /// What a message of `length` bytes with this header takes.
    pub fn of(&self, header: &[u8], length: usize) -> Look {
        let look = self.as_it_is(header, length);
        // How large a compressed one becomes is not known yet: where that is little, the reserve of small requests has it.
        let bytes = if is_compressed(header) { look.bytes.max(SMALL) } else { look.bytes };
        Look { bytes, ..look }
    }

    /// The same of a message that is not unpacked.
    fn as_it_is(&self, header: &[u8], length: usize) -> Look {
        let message = ipc::root_as_message(header).ok();
        let body = message.map_or(0, |message| usize::try_from(message.bodyLength()).unwrap_or(0));
        let made = message.map_or(0, |message| match message.header_type() {
            MessageHeader::RecordBatch => {
                message.header_as_record_batch().map_or(0, |batch| self.rows(&batch).saturating_add(columns(&batch)))
            }
            MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().map_or(0, |dictionary| {
                // A delta makes a new dictionary of the old one and itself.
                let old = if dictionary.isDelta() { self.dictionary(dictionary.id()) } else { 0 };
                dictionary.data().map_or(0, |batch| columns(&batch)).saturating_add(2 * old)
            }),
            MessageHeader::Schema => SCHEMA * length,
            _ => 0,
        });
        // As it came, and once more as it goes out.
        let bytes = (BASE + 2 * length).saturating_add(made);
        Look { bytes, body }
    }

    /// What a compressed message of `length` bytes takes, of which `unpacked` bytes are made.
    pub fn unpacked(&self, header: &[u8], length: usize, unpacked: usize) -> usize {
        // Unpacked, and once more as it goes out.
        self.as_it_is(header, length).bytes.saturating_add(unpacked.saturating_mul(2))
    }

    /// Remembers what the stream keeps of a message that was taken, whose arrays have so many bytes, and its memory with it.
    pub fn keep(&mut self, header: &[u8], bytes: usize, memory: &Reservation) {
        let Ok(message) = ipc::root_as_message(header) else { return };
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            let old = if dictionary.isDelta() { self.dictionary(dictionary.id()) } else { 0 };
            let kept = Dictionary { bytes: old.saturating_add(bytes), _memory: memory.clone() };
            self.dictionaries.insert(dictionary.id(), kept);
        } else if message.header_as_schema().is_some() {
            self.schema = bytes;
        }
    }

    /// Bytes of messages that the stream keeps to its end.
    pub fn kept(&self) -> usize {
        self.dictionaries.values().fold(self.schema, |sum, kept| sum.saturating_add(kept.bytes))
    }

    fn dictionary(&self, id: i64) -> usize {
        self.dictionaries.get(&id).map_or(0, |kept| kept.bytes)
    }

    /// What the rows take beside their columns, of which some have no bytes at all.
    fn rows(&self, batch: &RecordBatch) -> usize {
        let element =
            |node: usize| batch.nodes().filter(|nodes| node < nodes.len()).map_or(0, |nodes| nodes.get(node).length());
        let bytes = |length: i64, bytes: usize| usize::try_from(length).unwrap_or(0).saturating_mul(bytes);
        let weights = self.weights.iter().map(|weight| bytes(element(weight.node), weight.bytes));
        weights.fold(bytes(batch.length(), self.row_bytes), usize::saturating_add)
    }
}

/// What columns take besides their bytes: our writer marks each value as valid where the sender left that out, and pads
/// buffers; buffers at odd places are copied.
fn columns(batch: &RecordBatch) -> usize {
    let arrays = batch.nodes().into_iter().flatten();
    let arrays = arrays.map(|node| ARRAY.saturating_add(usize::try_from(node.length()).unwrap_or(0).div_ceil(8)));
    let buffers = batch.buffers().into_iter().flatten();
    let buffers = buffers.map(|buffer| {
        let is_odd = buffer.offset() % 16 != 0;
        BUFFER.saturating_add(if is_odd { usize::try_from(buffer.length()).unwrap_or(0) } else { 0 })
    });
    arrays.chain(buffers).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, RecordBatch};
    use arrow::datatypes::Int32Type;
    use arrow::ipc::writer::{
        DictionaryHandling, DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
    };

    use super::*;
    use crate::memory::Memory;

    /// The header of a message, and bytes of the whole.
    type Message = (Vec<u8>, usize);

    fn texts(count: usize) -> RecordBatch {
        let values: Vec<String> = (0..count).map(|number| format!("{number} {}", "a".repeat(1000))).collect();
        let column: DictionaryArray<Int32Type> = values.iter().map(String::as_str).collect();
        RecordBatch::try_from_iter([("text", Arc::new(column) as ArrayRef)]).unwrap()
    }

    /// The messages of a dictionary of 1000 values, and of the same with 500 more.
    fn growing(handling: DictionaryHandling) -> [Message; 2] {
        let options = IpcWriteOptions::default().with_dictionary_handling(handling);
        let (generator, mut tracker) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
        let batches = [texts(1000), texts(1500)];
        generator.schema_to_bytes_with_dictionary_tracker(&batches[0].schema(), &mut tracker, &options);
        let mut context = IpcWriteContext::default();
        batches.map(|batch| {
            let (mut dictionaries, _) = generator.encode(&batch, &mut tracker, &options, &mut context).unwrap();
            let message = dictionaries.remove(0);
            let length = message.ipc_message.len() + message.arrow_data.len();
            (message.ipc_message, length)
        })
    }

    /// Bytes that a stream keeps of both messages, and how much more the second takes because of the first.
    fn kept([first, second]: &[Message; 2]) -> (usize, usize) {
        let memory = Memory::default().try_reserve(0).unwrap();
        let mut claims = Claims::new(100);
        let alone = claims.of(&second.0, second.1).bytes;
        claims.keep(&first.0, first.1, &memory);
        let more = claims.of(&second.0, second.1).bytes - alone;
        claims.keep(&second.0, second.1, &memory);
        (claims.kept(), more)
    }

    #[test]
    fn deltas_count_with_what_they_are_added_to() {
        let messages = growing(DictionaryHandling::Delta);
        let [(_, first), (_, second)] = messages;
        assert!(second < first, "only what is new");
        assert_eq!(kept(&messages), (first + second, 2 * first));
    }

    #[test]
    fn what_comes_anew_replaces_what_was_there() {
        let messages = growing(DictionaryHandling::Resend);
        let [_, (_, second)] = messages;
        assert_eq!(kept(&messages), (second, 0));
    }
}
