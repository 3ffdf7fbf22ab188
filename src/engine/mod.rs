//! The one queue and the model threads: jobs of all clients share batches, interactive ones before bulk.
//!
//! A job is one column of texts with one reply. It succeeds whole or fails whole, and dropping its future takes what is
//! left of it out of the queue. Whatever becomes of a model thread, no caller waits for ever: a job that is dropped
//! unanswered answers with the cause.

mod job;
mod queue;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use self::job::Job;
use self::queue::Queue;
use crate::classifier::plan::BatchLimits;
use crate::classifier::{Classifier, Encoding, ModelInfo, Score, Scores};
use crate::{Error, Result};

/// What a model thread needs of a classifier.
pub trait Scorer: Send + Sync + 'static {
    /// Classes of the model.
    fn classes(&self) -> usize;
    /// The token ids of one text.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    fn encode(&self, text: &str) -> Result<Encoding>;
    /// A score for each token sequence. Calls `pause` now and then, for its thread to do what is more urgent.
    ///
    /// # Errors
    /// When the device fails.
    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>>;
}

impl Scorer for Classifier {
    fn classes(&self) -> usize {
        self.info().labels.len()
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        Self::encode(self, text)
    }

    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>> {
        self.score_with_pauses(sequences, pause)
    }
}

/// What bounds the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Model threads, each running one batch at a time.
    pub threads: NonZeroUsize,
    /// How large a batch may be.
    pub batch: BatchLimits,
    /// Rows that are tokenized and ordered by length together.
    pub window_rows: NonZeroUsize,
    /// Rows that may wait in each lane.
    pub queue_rows: NonZeroUsize,
    /// Whether the model threads leave the processor to any other thread that wants it, so that requests are received
    /// and answered in time while a table is scored. Has an effect on Linux.
    pub background: bool,
}

/// Who waits for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A person or a request: goes first, and is refused at once when the lane is full.
    Interactive,
    /// A table: waits for room, so that its reader slows down.
    Bulk,
}

/// Rows up to which a job goes before tables, whoever asks.
const LARGEST_INTERACTIVE: usize = 1024;

/// Room for a job's rows in a lane, given back when it is dropped or its job is done.
#[derive(Debug)]
pub struct Place {
    lane: Lane,
    room: OwnedSemaphorePermit,
}

/// Whether jobs are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// They are.
    Serving,
    /// A model thread died, of this.
    Dead(String),
}

/// A handle on the engine. When the last one is dropped the model threads finish what is queued and end.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    info: ModelInfo,
    queue_rows: u32,
    interactive: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    health: watch::Receiver<Health>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Engine {
    /// Starts the model threads.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system gives no thread.
    pub fn start(scorer: Arc<dyn Scorer>, info: ModelInfo, limits: EngineLimits) -> Result<Self> {
        let (dying, health) = watch::channel(Health::Serving);
        let queue = Arc::new(Queue::new(limits.window_rows.get(), limits.threads.get()));
        for index in 0..limits.threads.get() {
            worker::spawn(index, limits, Arc::clone(&queue), Arc::clone(&scorer), dying.clone())?;
        }
        let queue_rows = u32::try_from(limits.queue_rows.get().min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let lane = || Arc::new(Semaphore::new(queue_rows as usize));
        let shared = Shared { queue, info, queue_rows, interactive: lane(), bulk: lane(), health };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Scores a column of texts, row for row. Dropping the future cancels what has not run.
    ///
    /// # Errors
    /// [`Error::Busy`] when the interactive lane is full, [`Error::Failed`] when scoring failed, and
    /// [`Error::Stopped`] when a model thread died.
    pub async fn score(&self, texts: StringViewArray, lane: Lane) -> Result<Scores> {
        let place = match lane {
            Lane::Interactive => self.reserve(texts.len())?,
            Lane::Bulk => self.wait(texts.len()).await?,
        };
        self.score_in(place, texts).await
    }

    /// A place in the interactive lane for so many rows, to be scored by [`Engine::score_in`]. A table that comes this
    /// way takes its turn among tables.
    ///
    /// # Errors
    /// [`Error::Busy`] when the lane is full, and [`Error::Stopped`] when a model thread died.
    pub fn reserve(&self, rows: usize) -> Result<Place> {
        if self.health() != Health::Serving {
            return Err(self.stopped());
        }
        let lane = Arc::clone(&self.shared.interactive);
        let room = lane.try_acquire_many_owned(self.permits(rows)).map_err(|_| {
            Error::Busy(format!("at capacity: {} rows are waiting; try again later", self.shared.queue_rows))
        })?;
        let lane = if rows > LARGEST_INTERACTIVE { Lane::Bulk } else { Lane::Interactive };
        Ok(Place { lane, room })
    }

    /// A place in the bulk lane, when there is room for so many rows.
    async fn wait(&self, rows: usize) -> Result<Place> {
        let lane = Arc::clone(&self.shared.bulk);
        let room = lane.acquire_many_owned(self.permits(rows)).await.map_err(|_| self.stopped())?;
        Ok(Place { lane: Lane::Bulk, room })
    }

    /// [`Engine::score`] where the place was taken before.
    ///
    /// # Errors
    /// [`Error::Failed`] when scoring failed, and [`Error::Stopped`] when a model thread died.
    pub async fn score_in(&self, place: Place, texts: StringViewArray) -> Result<Scores> {
        let rows = texts.len();
        let classes = self.shared.info.labels.len();
        if texts.null_count() == rows {
            return Ok(Scores::nulls(rows, classes));
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::new(texts, classes, reply, place.room);
        self.shared.queue.push(place.lane, job).map_err(|()| self.stopped())?;
        answer.await.map_err(|_| self.stopped())?
    }

    /// What serves.
    pub fn model(&self) -> &ModelInfo {
        &self.shared.info
    }

    /// Whether jobs are taken.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Waits for a model thread to die, and says of what.
    pub async fn died(&self) -> Error {
        let mut health = self.shared.health.clone();
        // The threads hold the senders; when all are gone without a word, the engine was closed.
        let _ = health.wait_for(|health| *health != Health::Serving).await;
        self.stopped()
    }

    /// A job larger than the lane takes the whole of it.
    fn permits(&self, rows: usize) -> u32 {
        u32::try_from(rows).unwrap_or(u32::MAX).min(self.shared.queue_rows)
    }

    fn stopped(&self) -> Error {
        match self.health() {
            Health::Serving => Error::Stopped("the engine was shut down".to_owned()),
            Health::Dead(cause) => Error::Stopped(cause),
        }
    }
}

#[cfg(test)]
mod tests;
