//! One DoExchange: decode → score → encode, with the reply bounded by how fast its client reads.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, info};

use super::encode::Encoder;
use super::inbound;
use super::outbound::pieces;
use super::reply::ReplySender;
use super::status::from_flight;
use crate::engine::Engine;
use crate::ipc_compression::unpacked_bytes;
use crate::memory::Reservation;
use crate::panics::caught_stream;
use crate::stream::{InFlight, Incoming, score_table};
use crate::table::{ScoreOptions, ScorePlan};
use crate::{Error, Result};

/// One exchange in progress.
pub struct Exchange {
    /// Where texts are scored.
    pub engine: Engine,
    /// What this exchange may have in the engine at a time.
    pub in_flight: InFlight,
    /// How long the client may take to its schema, and leave its results unread.
    pub stall_timeout: Duration,
    /// Results on their way to the client.
    pub reply: ReplySender<Bytes>,
}

/// The client's messages. Shared, so that they can be read to their end after the exchange has failed.
type Inbound = Arc<Mutex<inbound::Inbound>>;

impl Exchange {
    /// Scores what the client sends until it sends no more.
    ///
    /// # Errors
    /// What the client did wrong, or why scoring failed. The client has not been told yet.
    pub async fn run(self, inbound: inbound::Inbound) -> Result<()> {
        let inbound = Arc::new(Mutex::new(inbound));
        let opened = timeout(self.stall_timeout, self.open(&inbound)).await.unwrap_or_else(|_| Err(self.silent()));
        let Some(opened) = opened? else {
            debug!("an exchange without a schema");
            return Ok(());
        };
        let result = self.score(opened, &inbound).await;
        if let Err(Error::Stalled(_)) = result {
            // The client is stuck in a write, and can only see an error once it reads: let it finish writing.
            inbound.lock().await.discard(self.stall_timeout).await;
        }
        result
    }

    /// Reads as far as the schema.
    async fn open(&self, inbound: &Inbound) -> Result<Option<Opened>> {
        let first = inbound.lock().await.message().await?;
        let first = first.ok_or_else(|| Error::Invalid("the exchange has no message".to_owned()))?;
        let options = options(first.flight_descriptor.as_ref())?;
        let mut decoded = decode(data_messages(first, Arc::clone(inbound)));
        let Some(schema) = next_schema(&mut decoded).await? else { return Ok(None) };
        let plan = Arc::new(ScorePlan::new(&schema, &options, &self.engine.model().labels)?);
        let memory = inbound.lock().await.claimed();
        Ok(Some(Opened { plan, decoded, _memory: memory }))
    }

    /// Scores what comes behind the schema.
    async fn score(&self, Opened { plan, decoded, _memory }: Opened, inbound: &Inbound) -> Result<()> {
        let (mut encoder, schema) = Encoder::new(&plan.schema());
        self.send(schema).await?;

        let inbound = Arc::clone(inbound);
        let input = decoded.then(move |message| {
            let inbound = Arc::clone(&inbound);
            async move { batch(message?, inbound.lock().await.claimed()) }
        });
        let mut scored = std::pin::pin!(score_table(self.engine.clone(), plan, self.in_flight, input));
        let (mut batches, mut rows) = (0_u64, 0_u64);
        while let Some(item) = scored.next().await {
            let (batch, Attached { app_metadata, memory }) = item?;
            batches += 1;
            rows += batch.num_rows() as u64;
            let messages = encoder.encode(&batch, app_metadata)?;
            drop(batch);
            for message in messages {
                self.send(message).await?;
            }
            drop(memory);
        }
        info!(batches, rows, "an exchange ended");
        Ok(())
    }

    /// Sends a message as fast as the client reads it.
    async fn send(&self, message: FlightData) -> Result<()> {
        for piece in pieces(message)? {
            self.reply.send(piece).await?;
        }
        Ok(())
    }

    fn silent(&self) -> Error {
        Error::Stalled(format!(
            "no schema came within {} s; an exchange begins with a command descriptor and a schema",
            self.stall_timeout.as_secs_f32()
        ))
    }
}

/// An exchange whose schema has come.
struct Opened {
    plan: Arc<ScorePlan>,
    decoded: Decoded,
    /// What the schema takes.
    _memory: Vec<Reservation>,
}

/// The options in the first message's descriptor.
fn options(descriptor: Option<&FlightDescriptor>) -> Result<ScoreOptions> {
    match descriptor {
        Some(descriptor) if descriptor.r#type() == DescriptorType::Cmd => ScoreOptions::from_command(&descriptor.cmd),
        Some(_) => Err(Error::Invalid(
            "DoExchange takes a command descriptor: FlightDescriptor.for_command(b\"{}\")".to_owned(),
        )),
        None => Err(Error::Invalid("the first message has no descriptor".to_owned())),
    }
}

/// The messages that carry Arrow data.
///
/// C++ and Python send the descriptor, and what `write_metadata` writes, in messages without a header, which the decoder
/// would take for broken ones. Metadata without data is not echoed: pyarrow's `read_all` ends at such a message.
fn data_messages(
    first: FlightData,
    inbound: Inbound,
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

type Decoded = BoxStream<'static, Result<DecodedFlightData>>;

/// Schemas and batches. arrow-ipc panics at some lengths that do not fit their data: that is the sender's error, too.
fn decode(messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static) -> Decoded {
    let decoded = caught_stream(FlightDataDecoder::new(messages));
    let unfit = |_| Err(Error::Invalid("the stream cannot be decoded: a length does not fit its data".to_owned()));
    decoded.map(move |message| message.map_or_else(unfit, |message| message.map_err(from_flight))).boxed()
}

async fn next_schema(decoded: &mut Decoded) -> Result<Option<arrow::datatypes::SchemaRef>> {
    let Some(message) = decoded.next().await else { return Ok(None) };
    match message?.payload {
        DecodedPayload::Schema(schema) => Ok(Some(schema)),
        DecodedPayload::RecordBatch(_) => Err(Error::Invalid("a record batch before the schema".to_owned())),
        DecodedPayload::None => Err(neither()),
    }
}

/// What belongs to a batch and comes back with it.
struct Attached {
    app_metadata: Bytes,
    /// For the batch, its dictionaries, and what is made of them.
    memory: Vec<Reservation>,
}

/// The batch of a message, with its metadata.
fn batch(message: DecodedFlightData, memory: Vec<Reservation>) -> Result<Incoming<RecordBatch, Attached>> {
    match message.payload {
        DecodedPayload::RecordBatch(batch) => {
            let unpacked = unpacked_bytes(&message.inner.data_header, &message.inner.data_body)?;
            let bytes = unpacked.unwrap_or(message.inner.data_body.len()) + message.inner.app_metadata.len();
            // Copied, since it is a slice of the whole message, which the batch no longer needs.
            let app_metadata = Bytes::copy_from_slice(&message.inner.app_metadata);
            Ok(Incoming { rows: batch, bytes, rest: Attached { app_metadata, memory } })
        }
        DecodedPayload::Schema(_) => Err(Error::Invalid("a second schema in one exchange".to_owned())),
        DecodedPayload::None => Err(neither()),
    }
}

/// A header that names no kind of message. Those without a header have been taken out before.
fn neither() -> Error {
    Error::Invalid("the stream cannot be decoded: a message is neither a schema nor a batch".to_owned())
}
