//! Messages → schema and record batches. As on the Flight side, a dictionary may come anew, and in parts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{MessageHeader, root_as_message};
use bytes::Bytes;
use futures::stream::BoxStream;

use super::allowance::MessageLimits;
use super::claim::Weight;
use super::framing::Framing;
use crate::memory::Reservation;
use crate::panics::caught;
use crate::{Error, Result};

/// A stream of record batches that is on its way in.
pub struct ArrowStream {
    messages: Framing,
    decoder: Decoder,
}

/// A batch that has come.
#[derive(Debug)]
pub struct ReceivedBatch {
    /// Its rows.
    pub rows: RecordBatch,
    /// What they hold, in bytes.
    pub bytes: usize,
    /// For the batch, its dictionaries, and what is made of them.
    pub memory: Vec<Reservation>,
}

impl ArrowStream {
    /// The stream that these pieces are.
    pub fn new(pieces: BoxStream<'static, Result<Bytes>>, limits: MessageLimits) -> Self {
        Self { messages: Framing::new(pieces, limits), decoder: Decoder::default() }
    }

    /// The schema, with which every stream begins, and its memory.
    ///
    /// # Errors
    /// Those of the pieces, and what is wrong with the first message.
    pub async fn schema(&mut self) -> Result<(SchemaRef, Vec<Reservation>)> {
        let nothing = || undecodable("it has no schema: an Arrow stream begins with one, also without rows");
        let message = self.messages.next().await?.ok_or_else(nothing)?;
        self.decoder.decode(&message.header, &message.body)?;
        let schema = self.decoder.schema().cloned().ok_or_else(nothing)?;
        Ok((schema, self.messages.allowance().claimed()))
    }

    /// As [`Decoder::read_as`].
    pub fn read_as(&mut self, schema: SchemaRef) {
        self.decoder.read_as(schema);
    }

    /// What the elements of arrays take from now on.
    pub fn weigh(&mut self, weights: &[Weight]) {
        self.messages.allowance().weigh(weights);
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// Those of the pieces, and what is wrong with a message.
    pub async fn next(&mut self) -> Result<Option<ReceivedBatch>> {
        while let Some(message) = self.messages.next().await? {
            if let Some(rows) = self.decoder.decode(&message.header, &message.body)? {
                let memory = self.messages.allowance().claimed();
                return Ok(Some(ReceivedBatch { rows, bytes: message.unpacked, memory }));
            }
        }
        Ok(None)
    }
}

/// What the messages so far have said.
#[derive(Default)]
pub struct Decoder {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Decoder {
    /// The schema, once it has come.
    pub const fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// From now on batches are read by this schema, whose columns lie in memory as those of the sender's do.
    pub fn read_as(&mut self, schema: SchemaRef) {
        self.schema = Some(schema);
    }

    /// The rows of a message, if it has some. arrow-ipc panics at some lengths that do not fit their data: that is the sender's
    /// error, too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is wrong with the message.
    pub fn decode(&mut self, header: &[u8], body: &Bytes) -> Result<Option<RecordBatch>> {
        let decoded = caught(|| self.read(header, body));
        decoded.unwrap_or_else(|_| Err(undecodable("a length does not fit its data")))
    }

    fn read(&mut self, header: &[u8], body: &Bytes) -> Result<Option<RecordBatch>> {
        let said = |cause: ArrowError| undecodable(&cause.to_string());
        let message = root_as_message(header).map_err(|cause| undecodable(&cause.to_string()))?;
        let body = Buffer::from(body.clone());
        match (message.header_type(), &self.schema) {
            (MessageHeader::Schema, Some(_)) => Err(Error::Invalid("a second schema in one stream".to_owned())),
            (MessageHeader::Schema, None) => {
                let schema = message.header_as_schema().ok_or_else(neither)?;
                self.schema = Some(Arc::new(try_fb_to_schema(schema).map_err(said)?));
                Ok(None)
            }
            (MessageHeader::DictionaryBatch | MessageHeader::RecordBatch, None) => {
                Err(Error::Invalid("a message before the schema: an Arrow stream begins with that".to_owned()))
            }
            (MessageHeader::DictionaryBatch, Some(schema)) => {
                let dictionary = message.header_as_dictionary_batch().ok_or_else(neither)?;
                let read = read_dictionary(&body, dictionary, schema, &mut self.dictionaries, &message.version());
                read.map_err(|cause| undecodable(&format!("{IN_DICTIONARY}: {cause}")))?;
                Ok(None)
            }
            (MessageHeader::RecordBatch, Some(schema)) => {
                let batch = message.header_as_record_batch().ok_or_else(neither)?;
                let schema = Arc::clone(schema);
                let rows = read_record_batch(&body, batch, schema, &self.dictionaries, None, &message.version());
                rows.map(Some).map_err(said)
            }
            (..) => Err(neither()),
        }
    }
}

fn neither() -> Error {
    undecodable("a message is neither a schema nor a batch")
}

/// What is said of a dictionary's values.
const IN_DICTIONARY: &str = "in a dictionary";

/// The sender's stream is none, and what Arrow says of it, with what can be done about that.
pub fn undecodable(said: &str) -> Error {
    let nested = said.contains(IN_DICTIONARY) && (said.contains("mismatched") || said.contains("variadic"));
    let remedy = if nested {
        "; a dictionary of a dictionary has no form in Arrow IPC: decode it, in Python with dictionary_decode(), or cast it"
    } else {
        ""
    };
    Error::Invalid(format!("the stream cannot be decoded: {said}{remedy}"))
}

#[cfg(test)]
mod tests;
