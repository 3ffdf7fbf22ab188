//! What answers calls, and the streams of batches that it begins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tracing::info_span;

use super::catalog::Catalog;
use super::exchange::Exchange;
use super::inbound::{Inbound, MessageEncoding, Quiet};
use super::put::Put;
use super::reply::Reply;
use crate::auth::Authenticator;
use crate::engine::Timings;
use crate::memory::Memory;
use crate::readiness::Readiness;
use crate::source::ipc::MessageLimits;
use crate::stream::InFlight;
use crate::table::text_bytes;
use crate::{Error, Result};

/// What bounds the Flight service.
#[derive(Debug, Clone, Copy)]
pub struct FlightLimits {
    /// Bytes of one message, and so of one record batch.
    pub message_bytes: usize,
    /// Exchanges, uploads and streams of data sets at a time.
    pub streams: usize,
    /// What one exchange may have in the engine at a time.
    pub in_flight: InFlight,
    /// How long a client may leave its results unread.
    pub stall_timeout: Duration,
    /// How long a call may be quiet: its client sends nothing, and nothing is being done for it.
    pub idle_timeout: Duration,
    /// How long a call may take in all.
    pub stream_timeout: Duration,
}

/// What answers calls.
pub struct Flight {
    /// Whether there is one, and what scores.
    pub model: Readiness,
    pub limits: FlightLimits,
    pub memory: Memory,
    pub authenticator: Authenticator,
    pub streams: Arc<Semaphore>,
    pub catalog: Catalog,
}

impl Flight {
    /// How many streams are under way.
    pub fn open_streams(&self) -> usize {
        self.limits.streams.saturating_sub(self.streams.available_permits())
    }

    /// A place for a stream, as long as it is held.
    ///
    /// # Errors
    /// [`Error::Busy`] when as many are open as may be.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Error::Busy(format!(
                "at capacity: {} streams are open (--max-exchanges); try again later",
                self.limits.streams
            ))
        })
    }

    /// The messages in a call's body, whose rows take so many bytes each beside their columns.
    fn inbound(&self, body: Body, encoding: Option<MessageEncoding>, row_bytes: usize) -> Inbound {
        let FlightLimits { stall_timeout, idle_timeout, message_bytes, .. } = self.limits;
        let limits = MessageLimits { memory: self.memory.clone(), message_bytes, row_bytes, patience: stall_timeout };
        Inbound::new(body, encoding, limits, Quiet::new(idle_timeout, self.model.clone()))
    }

    /// Begins an exchange with the messages in `body`, whose rows' times `timings` adds up.
    ///
    /// # Errors
    /// [`Error::Busy`] when as many are open as may be, and why there is no model.
    pub fn exchange(
        &self,
        body: Body,
        encoding: Option<MessageEncoding>,
        timings: Arc<Timings>,
    ) -> Result<Reply<Bytes>> {
        let engine = self.model.engine()?.timed(timings);
        let permit = self.stream()?;
        let FlightLimits { in_flight, stall_timeout, .. } = self.limits;
        let inbound = self.inbound(body, encoding, text_bytes(&engine.model().labels));
        let exchange = |reply| async move {
            let _permit = permit;
            Exchange { engine, in_flight, stall_timeout, reply }.run(inbound).await
        };
        Ok(info_span!("exchange").in_scope(|| Reply::spawn(stall_timeout, exchange)))
    }

    /// Begins an upload with the messages in `body`.
    ///
    /// # Errors
    /// [`Error::Busy`] when as many streams are open as may be.
    pub fn put(&self, body: Body, encoding: Option<MessageEncoding>) -> Result<Reply<Bytes>> {
        let permit = self.stream()?;
        let (inbound, uploads, stall_timeout) =
            (self.inbound(body, encoding, 1), self.catalog.uploads.clone(), self.limits.stall_timeout);
        let put = |reply| async move {
            let _permit = permit;
            Put { uploads, stall_timeout, reply }.run(inbound).await
        };
        Ok(info_span!("put").in_scope(|| Reply::spawn(stall_timeout, put)))
    }
}
