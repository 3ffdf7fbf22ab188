//! A client's messages → schema and record batches.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::inbound::Inbound;
use crate::Result;
use crate::source::ipc::Decoder;

/// A client's messages, which can be read to their end after the call has failed.
pub type SharedInbound = Arc<Mutex<Inbound>>;

/// A record batch, and the message that it came in.
pub type Decoded = (RecordBatch, FlightData);

/// What a client sends.
pub struct Batches {
    messages: BoxStream<'static, Result<FlightData>>,
    decoder: Decoder,
}

impl Batches {
    /// That of which `first` is the first message.
    pub fn new(first: FlightData, inbound: SharedInbound) -> Self {
        Self { messages: data_messages(first, inbound).boxed(), decoder: Decoder::default() }
    }

    /// The schema, with which all data begin. `None` where there are no data.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for what is none, and those of [`Inbound::message`].
    pub async fn schema(&mut self) -> Result<Option<SchemaRef>> {
        let Some(message) = self.messages.try_next().await? else { return Ok(None) };
        self.decoder.decode(&message.data_header, &message.data_body)?;
        Ok(self.decoder.schema().cloned())
    }

    /// As [`Decoder::read_as`].
    pub fn read_as(&mut self, schema: SchemaRef) {
        self.decoder.read_as(schema);
    }

    /// The next batch behind the schema; `None` when the client has sent all.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for what is none, and those of [`Inbound::message`].
    pub async fn next(&mut self) -> Result<Option<Decoded>> {
        while let Some(message) = self.messages.try_next().await? {
            if let Some(batch) = self.decoder.decode(&message.data_header, &message.data_body)? {
                return Ok(Some((batch, message)));
            }
        }
        Ok(None)
    }
}

/// The messages that carry Arrow data.
///
/// C++ and Python send the descriptor, and what `write_metadata` writes, in messages without a header. Metadata without data is
/// not echoed: pyarrow's `read_all` ends at such a message.
fn data_messages(first: FlightData, inbound: SharedInbound) -> impl Stream<Item = Result<FlightData>> + Send + 'static {
    let rest = futures::stream::unfold(inbound, async |inbound| {
        let message = inbound.lock().await.message().await;
        Some((message.transpose()?, inbound))
    });
    let messages = futures::stream::iter([Ok(first)]).chain(rest);
    messages.filter(|message| {
        let carries_data = message.as_ref().map_or(true, |message| !message.data_header.is_empty());
        std::future::ready(carries_data)
    })
}
