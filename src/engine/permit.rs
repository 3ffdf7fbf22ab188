//! Room in the lanes, taken before a job is queued: who asks for a person is refused at once, who reads a table waits.

use std::sync::Arc;
use std::time::Instant;

use futures::future::OptionFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::spans::JobSpans;
use super::turns::Turn;
use super::{Engine, Health, Lane};
use crate::{Error, Result};

/// Rows of a small job: a request's goes before tables, a stream's has a place of its own where the lane is full.
pub(super) const LARGEST_INTERACTIVE: usize = 1024;

/// Room for a job's rows in a lane, given back when it is dropped or its job is done.
#[derive(Debug)]
pub struct Permit {
    /// Whose rows they are.
    pub(super) lane: Lane,
    /// The stream that they are of; a request is its own.
    pub(super) turn: Option<Turn>,
    /// When it was asked for.
    pub(super) since: Instant,
    pub(super) room: OwnedSemaphorePermit,
    pub(super) spans: JobSpans,
}

impl Engine {
    /// A permit of the interactive lane for so many rows, to be scored by [`Engine::score_in`]. A table that comes this
    /// way takes its turn among tables.
    ///
    /// # Errors
    /// [`Error::Busy`] when the lane is full, and [`Error::Stopped`] when a model thread died.
    pub fn reserve(&self, rows: usize) -> Result<Permit> {
        if self.health() != Health::Serving {
            return Err(self.stopped());
        }
        let lane = Arc::clone(&self.shared.interactive);
        let room = lane.try_acquire_many_owned(self.permits(rows)).map_err(|_| {
            let rows = self.shared.queue_rows;
            Error::Busy(format!("at capacity: {rows} rows are waiting (--queue-rows); try again later"))
        })?;
        let since = Instant::now();
        let lane = if rows > LARGEST_INTERACTIVE { Lane::Bulk } else { Lane::Interactive };
        Ok(Permit { lane, turn: None, since, room, spans: JobSpans::wait(rows, lane, &self.spans) })
    }

    /// A permit of the bulk lane, when there is room for so many rows, or, for few, when the stream's own place is free.
    pub(super) async fn wait(&self, rows: usize) -> Result<Permit> {
        let (since, spans) = (Instant::now(), JobSpans::wait(rows, Lane::Bulk, &self.spans));
        let lane = Arc::clone(&self.shared.bulk).acquire_many_owned(self.permits(rows));
        let turn = self.turn.as_ref().filter(|_| rows <= LARGEST_INTERACTIVE);
        let own = OptionFuture::from(turn.map(|turn| Arc::clone(&turn.place).acquire_owned()));
        let room = tokio::select! {
            biased;
            room = lane => room,
            Some(room) = own => room,
        };
        let room = room.map_err(|_| self.stopped())?;
        Ok(Permit { lane: Lane::Bulk, turn: self.turn.clone(), since, room, spans })
    }

    /// A job larger than the lane takes the whole of it.
    fn permits(&self, rows: usize) -> u32 {
        u32::try_from(rows).unwrap_or(u32::MAX).min(self.shared.queue_rows)
    }
}
