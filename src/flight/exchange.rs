//! One DoExchange: decode → score → encode, with the reply bounded by how fast its client reads.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::try_unfold;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, info};

use super::decode::{Batches, Decoded, SharedInbound};
use super::encode::Encoder;
use super::inbound::Inbound;
use super::purpose::Purpose;
use super::reply::ReplySender;
use crate::engine::Engine;
use crate::memory::Reservation;
use crate::source::strings_as_bytes;
use crate::stream::{InFlight, Incoming, score_batches};
use crate::table::ScorePlan;
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

    /// Reads as far as the schema. That of a function's results is sent before: who calls one waits for it, and some not for long.
    async fn open(&self, inbound: &SharedInbound) -> Result<Option<Opened>> {
        let first = inbound.lock().await.message().await?;
        let first = first.ok_or_else(|| Error::Invalid("the exchange has no message".to_owned()))?;
        let purpose = Purpose::of(first.data.flight_descriptor.as_ref())?;
        let begun = match &purpose {
            Purpose::Call(function) => Some(self.begin(&function.returns()).await?),
            Purpose::Table(_) => None,
        };
        let mut batches = Batches::new(first, Arc::clone(inbound));
        let Some(schema) = batches.schema().await? else { return Ok(None) };
        let plan = purpose.plan(&schema, &self.engine.model().labels)?;
        // One string that is not UTF-8 is a row's trouble, and not its batch's.
        let raw = Arc::new(strings_as_bytes(&schema, plan.text_columns()));
        let plan = Arc::new(plan.reading(&raw));
        batches.read_as(raw);
        let mut inbound = inbound.lock().await;
        inbound.weigh(plan.weights());
        let memory = inbound.claimed();
        Ok(Some(Opened { purpose, begun, plan, batches, _memory: memory }))
    }

    /// Begins the reply with its schema.
    async fn begin(&self, schema: &Schema) -> Result<Encoder> {
        let (encoder, message) = Encoder::new(schema);
        self.reply.message(message).await?;
        Ok(encoder)
    }

    /// Scores what comes behind the schema.
    async fn score(&self, opened: Opened, inbound: &SharedInbound) -> Result<()> {
        let Opened { purpose, begun, plan, batches, _memory } = opened;
        let mut encoder = match begun {
            Some(begun) => begun,
            None => self.begin(&plan.schema()).await?,
        };

        let quiet = inbound.lock().await.quiet().clone();
        let input = try_unfold((batches, Arc::clone(inbound), quiet.clone()), async |(mut batches, inbound, quiet)| {
            let Some(decoded) = batches.next().await? else { return Ok(None) };
            quiet.begin();
            let incoming = incoming(decoded, inbound.lock().await.claimed());
            Ok(Some((incoming, (batches, inbound, quiet))))
        });
        let scored = score_batches(self.engine.clone(), Arc::clone(&plan), self.in_flight, input);
        let mut scored = std::pin::pin!(scored);
        let (mut batches, mut rows) = (0_u64, 0_u64);
        while let Some(item) = scored.next().await {
            let (batch, Attached { app_metadata, memory }) = purpose.results(&plan, item?)?;
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
            "no schema came within {} s (--stall-timeout); an exchange begins with a descriptor and a schema",
            self.stall_timeout.as_secs_f32()
        ))
    }
}

/// An exchange whose schema has come.
struct Opened {
    purpose: Purpose,
    /// The reply, if its schema has been sent.
    begun: Option<Encoder>,
    plan: Arc<ScorePlan>,
    batches: Batches,
    /// What the schema takes.
    _memory: Vec<Reservation>,
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
