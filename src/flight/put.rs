//! One DoPut: decode → stage, with the number of rows that are there told after each batch.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightDescriptor, PutResult};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::info;

use super::decode::{Batches, Decoded, SharedInbound};
use super::inbound::Inbound;
use super::outbound::whole;
use super::reply::ReplySender;
use super::uploads::{StagedUpload, StagedUploads};
use crate::memory::Reservation;
use crate::panics::blocking;
use crate::source::staged::StagedWriter;
use crate::{Error, Result};

/// How long a client that does not read what is told holds up what it sends. What it leaves unread is told again later.
const TELLING: Duration = Duration::from_millis(100);

/// One upload in progress.
pub struct Put {
    /// Where it goes.
    pub uploads: StagedUploads,
    /// How long the client may take to its schema, and leave the end unread.
    pub stall_timeout: Duration,
    /// Results on their way to the client.
    pub reply: ReplySender<Bytes>,
}

/// An upload whose schema has come.
struct Opened {
    upload: StagedUpload,
    batches: Batches,
    staging: StagedWriter,
    /// What the schema takes.
    _memory: Vec<Reservation>,
}

impl Put {
    /// Stages what the client sends until it sends no more. Whatever goes wrong leaves nothing.
    ///
    /// # Errors
    /// What the client did wrong, or why there is no room. The client has not been told yet.
    pub async fn run(self, inbound: Inbound) -> Result<()> {
        let inbound = Arc::new(Mutex::new(inbound));
        let opened = timeout(self.stall_timeout, self.open(&inbound)).await;
        let Opened { upload, batches, staging, _memory } = opened.unwrap_or_else(|_| Err(self.silent()))?;
        let staging = self.take(staging, batches, &inbound).await?;
        if !inbound.lock().await.is_whole() {
            return Err(Error::Cancelled("the client broke its upload off".to_owned()));
        }
        info!(name = upload.name(), rows = staging.rows(), "an upload is staged");
        let table = staging.finish(upload.name());
        upload.stage(table);
        Ok(())
    }

    /// Reads as far as the schema.
    async fn open(&self, inbound: &SharedInbound) -> Result<Opened> {
        let first = inbound.lock().await.message().await?;
        let first = first.ok_or_else(|| Error::Invalid("the upload has no message".to_owned()))?;
        let upload = self.uploads.begin(name(first.data.flight_descriptor.as_ref())?)?;
        let mut batches = Batches::new(first, Arc::clone(inbound));
        let schema = batches.schema().await?;
        let schema = schema.ok_or_else(|| Error::Invalid("the upload ended before its schema".to_owned()))?;
        let staging = StagedWriter::new(schema, self.uploads.limits().table, self.uploads.spool().clone())?;
        let memory = inbound.lock().await.claimed();
        Ok(Opened { upload, batches, staging, _memory: memory })
    }

    /// Takes all that comes behind the schema.
    async fn take(
        &self,
        mut staging: StagedWriter,
        mut batches: Batches,
        inbound: &SharedInbound,
    ) -> Result<StagedWriter> {
        let mut told = None;
        while let Some(Decoded { rows, .. }) = batches.next().await? {
            let memory = inbound.lock().await.claimed();
            staging = blocking(move || {
                let _memory = memory;
                staging.append(&rows)?;
                Ok(staging)
            })
            .await?;
            if self.reply.offer(result(staging.rows()), TELLING).await? {
                told = Some(staging.rows());
            }
        }
        if told != Some(staging.rows()) {
            self.reply.send(result(staging.rows())).await?;
        }
        Ok(staging)
    }

    fn silent(&self) -> Error {
        Error::Stalled(format!(
            "no schema came within {} s (--stall-timeout); an upload begins with a path descriptor and a schema",
            self.stall_timeout.as_secs_f32()
        ))
    }
}

/// The name in the first message's descriptor.
fn name(descriptor: Option<&FlightDescriptor>) -> Result<&str> {
    let right = "an upload takes a path descriptor of one name: FlightDescriptor.for_path(\"reviews\")";
    let Some(descriptor) = descriptor else {
        return Err(Error::Invalid(format!("the first message has no descriptor: {right}")));
    };
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Path, [name]) => Ok(name),
        (DescriptorType::Path, path) => {
            Err(Error::Invalid(format!("the path of the descriptor has {} parts: {right}", path.len())))
        }
        (DescriptorType::Cmd, _) => Err(Error::Invalid(format!("the descriptor carries a command: {right}"))),
        (DescriptorType::Unknown, _) => Err(Error::Invalid(format!("the descriptor is of no kind: {right}"))),
    }
}

fn result(rows: u64) -> Bytes {
    let app_metadata = json!({ "rows": rows }).to_string().into();
    whole(&PutResult { app_metadata })
}
