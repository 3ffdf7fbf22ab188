//! A client's messages → schema and record batches.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::inbound::{Inbound, Received};
use crate::Result;
use crate::source::ipc::Decoder;

/// A client's messages, which can be read to their end after the call has failed.
pub type SharedInbound = Arc<Mutex<Inbound>>;

/// A record batch that has come.
pub struct Decoded {
    pub rows: RecordBatch,
    /// What its columns hold, in bytes.
    pub bytes: usize,
    /// The metadata of its message: a slice of the whole of that.
    pub app_metadata: Bytes,
}

/// What a client sends.
pub struct Batches {
    messages: BoxStream<'static, Result<Received>>,
    decoder: Decoder,
}

impl Batches {
    /// That of which `first` is the first message.
    pub fn new(first: Received, inbound: SharedInbound) -> Self {
        Self { messages: data_messages(first, inbound).boxed(), decoder: Decoder::default() }
    }

    /// The schema, with which all data begin. `None` where there are no data.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for what is none, and those of [`Inbound::message`].
    pub async fn schema(&mut self) -> Result<Option<SchemaRef>> {
        let Some(Received { data, .. }) = self.messages.try_next().await? else { return Ok(None) };
        self.decoder.decode(&data.data_header, &data.data_body)?;
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
        while let Some(Received { data, unpacked }) = self.messages.try_next().await? {
            if let Some(rows) = self.decoder.decode(&data.data_header, &data.data_body)? {
                return Ok(Some(Decoded { rows, bytes: unpacked, app_metadata: data.app_metadata }));
            }
        }
        Ok(None)
    }
}

/// The messages that carry Arrow data.
///
/// C++ and Python send the descriptor, and what `write_metadata` writes, in messages without a header. Metadata without data is
/// not echoed: pyarrow's `read_all` ends at such a message.
fn data_messages(first: Received, inbound: SharedInbound) -> impl Stream<Item = Result<Received>> + Send + 'static {
    let rest = futures::stream::unfold(inbound, async |inbound| {
        let message = inbound.lock().await.message().await;
        Some((message.transpose()?, inbound))
    });
    let messages = futures::stream::iter([Ok(first)]).chain(rest);
    messages.filter(|message| {
        let carries_data = message.as_ref().map_or(true, |message| !message.data.data_header.is_empty());
        std::future::ready(carries_data)
    })
}
