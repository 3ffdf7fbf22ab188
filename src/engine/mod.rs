//! The one queue and the model threads: jobs of all clients share batches, interactive ones before bulk.
//!
//! A job is one column of texts with one reply. It succeeds whole or fails whole, and dropping its future takes what is
//! left of it out of the queue. Whatever becomes of a model thread, no caller waits for ever: a job that is dropped
//! unanswered answers with the cause.

mod budget;
mod job;
mod limits;
mod queue;
mod worker;

use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub use self::limits::{EngineLimits, Runners};

use self::budget::Budget;
use self::job::Job;
use self::queue::{Queue, Role};
use self::worker::Worker;
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
    /// [`Error::OutOfMemory`] when a smaller batch may do, [`Error::Stopped`] when nothing will be scored any more, and
    /// others when this batch failed.
    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>>;
    /// The same for several batches, for a device that is best waited for once.
    fn score_each(&self, batches: &[&[&[u32]]], pause: &dyn Fn()) -> Vec<Result<Vec<Score>>> {
        batches.iter().map(|batch| self.score(batch, pause)).collect()
    }
}

impl Scorer for Classifier {
    fn classes(&self) -> usize {
        self.info().labels.len()
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        Self::encode(self, text)
    }

    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>> {
        self.score_each(&[sequences], pause).pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    fn score_each(&self, batches: &[&[&[u32]]], pause: &dyn Fn()) -> Vec<Result<Vec<Score>>> {
        Self::score_each(self, batches, pause)
    }
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
    /// Starts the model threads over scorers of one model, one for each device that it lies on.
    ///
    /// # Errors
    /// [`Error::Failed`] when there is no scorer, or the system gives no thread.
    pub fn start(scorers: Vec<Arc<dyn Scorer>>, info: ModelInfo, limits: EngineLimits) -> Result<Self> {
        let Some(first) = scorers.first() else {
            return Err(Error::Failed("the engine was given no model".to_owned()));
        };
        let (dying, health) = watch::channel(Health::Serving);
        let runners = match limits.runners {
            Runners::Tokenizers => limits.threads.get(),
            Runners::Own { threads, .. } => threads.get() * scorers.len(),
        };
        let queue = Arc::new(Queue::new(limits.window_rows.get(), limits.threads.get(), runners));
        let budget = Arc::new(Budget::new(limits.batch));
        let spawn = |name: String, role, scorer: &Arc<dyn Scorer>| {
            let (queue, budget, scorer) = (Arc::clone(&queue), Arc::clone(&budget), Arc::clone(scorer));
            Worker { role, queue, scorer, budget, limits, health: dying.clone() }.spawn(name)
        };
        for index in 0..limits.threads.get() {
            match limits.runners {
                Runners::Tokenizers => {
                    spawn(format!("model-{index}"), Role::Both, &scorers[index % scorers.len()])?;
                }
                Runners::Own { .. } => spawn(format!("tokenize-{index}"), Role::Tokenize, first)?,
            }
        }
        if let Runners::Own { threads, batches } = limits.runners {
            for (device, scorer) in scorers.iter().enumerate() {
                for index in 0..threads.get() {
                    spawn(format!("model-{device}-{index}"), Role::Run { batches: batches.get() }, scorer)?;
                }
            }
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
