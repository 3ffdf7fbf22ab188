//! A client's messages → schema and record batches.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::sync::Mutex;

use super::inbound::Inbound;
use super::status::from_flight;
use crate::panics::caught_stream;
use crate::{Error, Result};

/// A client's messages, which can be read to their end after the call has failed.
pub type SharedInbound = Arc<Mutex<Inbound>>;

/// The messages that carry Arrow data.
///
/// C++ and Python send the descriptor, and what `write_metadata` writes, in messages without a header, which the decoder
/// would take for broken ones. Metadata without data is not echoed: pyarrow's `read_all` ends at such a message.
fn data_messages(
    first: FlightData,
    inbound: SharedInbound,
) -> impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static {
    let rest = futures::stream::unfold(inbound, async |inbound| {
        let message = inbound.lock().await.message().await;
        let message = message.transpose()?.map_err(|error| FlightError::ExternalError(Box::new(error)));
        Some((message, inbound))
    });
    let messages = futures::stream::iter([Ok(first)]).chain(rest);
    messages.filter(|message| {
        let carries_data = message.as_ref().map_or(true, |message| !message.data_header.is_empty());
        std::future::ready(carries_data)
    })
}

/// Schemas and batches, one a message.
pub type Decoded = BoxStream<'static, Result<DecodedFlightData>>;

/// What the client sends from its first message on. arrow-ipc panics at some lengths that do not fit their data: that is the
/// sender's error, too.
pub fn decode(first: FlightData, inbound: SharedInbound) -> Decoded {
    let decoded = caught_stream(FlightDataDecoder::new(data_messages(first, inbound).boxed()));
    let unfit = |_| Err(Error::Invalid("the stream cannot be decoded: a length does not fit its data".to_owned()));
    decoded.map(move |message| message.map_or_else(unfit, |message| message.map_err(from_flight))).boxed()
}

/// The schema, with which all data begin. `None` where there are no data.
///
/// # Errors
/// [`Error::Invalid`] for what is none, and those of [`Inbound::message`].
pub async fn next_schema(decoded: &mut Decoded) -> Result<Option<SchemaRef>> {
    let Some(message) = decoded.next().await else { return Ok(None) };
    match message?.payload {
        DecodedPayload::Schema(schema) => Ok(Some(schema)),
        DecodedPayload::RecordBatch(_) => Err(Error::Invalid("a record batch before the schema".to_owned())),
        DecodedPayload::None => Err(neither()),
    }
}

/// The batch that comes behind the schema.
///
/// # Errors
/// [`Error::Invalid`] for what is none.
pub fn record_batch(payload: DecodedPayload) -> Result<RecordBatch> {
    match payload {
        DecodedPayload::RecordBatch(batch) => Ok(batch),
        DecodedPayload::Schema(_) => Err(Error::Invalid("a second schema in one stream".to_owned())),
        DecodedPayload::None => Err(neither()),
    }
}

/// A header that names no kind of message. Those without a header have been taken out before.
fn neither() -> Error {
    Error::Invalid("the stream cannot be decoded: a message is neither a schema nor a batch".to_owned())
}
