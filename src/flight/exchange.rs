//! One DoExchange: decode → score → encode, with the reply bounded by how fast its client reads.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::try_unfold;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, info};

use super::decode::{Batches, Decoded, SharedInbound};
use super::encode::Encoder;
use super::inbound::Inbound;
use super::reply::ReplySender;
use crate::engine::Engine;
use crate::memory::Reservation;
use crate::source::strings_as_bytes;
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

impl Exchange {
    /// Scores what the client sends until it sends no more.
    ///
    /// # Errors
    /// What the client did wrong, or why scoring failed. The client has not been told yet.
    pub async fn run(self, inbound: Inbound) -> Result<()> {
        let inbound = Arc::new(Mutex::new(inbound));
        let opened = timeout(self.stall_timeout, self.open(&inbound)).await.unwrap_or_else(|_| Err(self.silent()));
        let Some(opened) = opened? else {
            debug!("an exchange without a schema");
            return Ok(());
        };
        let result = self.score(opened, &inbound).await;
        if matches!(result, Err(Error::Stalled(_))) && self.reply.is_unread() {
            // The client is stuck in a write, and can only see an error once it reads: let it finish writing.
            inbound.lock().await.discard(self.stall_timeout).await;
        }
        result
    }

    /// Reads as far as the schema.
    async fn open(&self, inbound: &SharedInbound) -> Result<Option<Opened>> {
        let first = inbound.lock().await.message().await?;
        let first = first.ok_or_else(|| Error::Invalid("the exchange has no message".to_owned()))?;
        let options = options(first.data.flight_descriptor.as_ref())?;
        let mut batches = Batches::new(first, Arc::clone(inbound));
        let Some(schema) = batches.schema().await? else { return Ok(None) };
        let plan = ScorePlan::new(&schema, &options, &self.engine.model().labels)?;
        // One string that is not UTF-8 is a row's trouble, and not its batch's.
        let raw = Arc::new(strings_as_bytes(&schema, plan.text_columns()));
        let plan = Arc::new(plan.reading(&raw));
        batches.read_as(raw);
        let mut inbound = inbound.lock().await;
        inbound.weigh(plan.weights());
        let memory = inbound.claimed();
        Ok(Some(Opened { plan, batches, _memory: memory }))
    }

    /// Scores what comes behind the schema.
    async fn score(&self, Opened { plan, batches, _memory }: Opened, inbound: &SharedInbound) -> Result<()> {
        let (mut encoder, schema) = Encoder::new(&plan.schema());
        self.reply.message(schema).await?;

        let quiet = inbound.lock().await.quiet().clone();
        let input = try_unfold((batches, Arc::clone(inbound), quiet.clone()), async |(mut batches, inbound, quiet)| {
            let Some(decoded) = batches.next().await? else { return Ok(None) };
            quiet.begin();
            let incoming = incoming(decoded, inbound.lock().await.claimed());
            Ok(Some((incoming, (batches, inbound, quiet))))
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
                self.reply.message(message).await?;
            }
            drop(memory);
            quiet.end();
        }
        info!(batches, rows, "an exchange ended");
        Ok(())
    }

    fn silent(&self) -> Error {
        Error::Stalled(format!(
            "no schema came within {} s (--stall-timeout); an exchange begins with a command descriptor and a schema",
            self.stall_timeout.as_secs_f32()
        ))
    }
}

/// An exchange whose schema has come.
struct Opened {
    plan: Arc<ScorePlan>,
    batches: Batches,
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

/// What belongs to a batch and comes back with it.
struct Attached {
    app_metadata: Bytes,
    /// For the batch, its dictionaries, and what is made of them.
    memory: Vec<Reservation>,
}

/// A batch with the metadata of its message.
fn incoming(
    Decoded { rows, bytes, app_metadata }: Decoded,
    memory: Vec<Reservation>,
) -> Incoming<RecordBatch, Attached> {
    let bytes = bytes + app_metadata.len();
    // Copied, since it is a slice of the whole message, which the batch no longer needs.
    let app_metadata = Bytes::copy_from_slice(&app_metadata);
    Incoming { rows, bytes, rest: Attached { app_metadata, memory } }
}
