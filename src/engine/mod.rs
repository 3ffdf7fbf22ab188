//! The one queue and the model threads: jobs of all clients share batches, interactive ones before bulk.
//!
//! A job is one column of texts with one reply. It succeeds whole or fails whole, and dropping its future takes what is
//! left of it out of the queue. Whatever becomes of a model thread, no caller waits for ever: a job that is dropped
//! unanswered answers with the cause.

mod ahead;
mod answers;
mod budget;
mod calibrate;
mod device;
mod job;
mod limits;
mod pace;
mod permit;
mod pool;
mod queue;
mod queue_state;
mod scorer;
mod spans;
mod stopwatch;
mod teams;
mod timings;
mod turns;
mod waiting;
mod work;
mod worker;

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use tokio::sync::{Semaphore, oneshot, watch};

use self::budget::Budget;
pub use self::calibrate::TokenBudget;
use self::job::{Clock, Job};
pub use self::limits::{EngineLimits, EngineOptions, Runners, TOKENS_OF_A_CORE};
pub use self::permit::Permit;
use self::queue::Queue;
pub use self::scorer::Scorer;
use self::spans::SpanLimit;
use self::stopwatch::Stopwatch;
pub use self::timings::Timings;
use self::turns::Turn;
use self::work::Role;
use self::worker::Worker;
use crate::classifier::{ModelInfo, Scores};
use crate::metrics::{ByLane, EngineMetrics, QueueDepth};
use crate::{Error, Result};

/// Who waits for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A person or a request: goes first, and is refused at once when the lane is full.
    Interactive,
    /// A table: waits for room, so that its reader slows down.
    Bulk,
}

/// Whether jobs are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// They are.
    Serving,
    /// A model thread died, of this.
    Dead(String),
}

/// A handle on the engine. Who waits for scores holds one: when the last is dropped nobody does, and the model threads
/// end.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// The stream that this handle's jobs are of.
    turn: Option<Turn>,
    /// Where the times of this handle's jobs go.
    timings: Option<Arc<Timings>>,
    /// Which of them have spans.
    spans: SpanLimit,
}

struct Shared {
    queue: Arc<Queue>,
    info: ModelInfo,
    queue_rows: u32,
    rows_in_flight: usize,
    interactive: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    health: watch::Receiver<Health>,
    metrics: Arc<EngineMetrics>,
}

impl Shared {
    fn new(
        queue: Arc<Queue>,
        info: ModelInfo,
        limits: &EngineLimits,
        scorers: usize,
        health: watch::Receiver<Health>,
    ) -> Self {
        let (metrics, rows_in_flight) = (Arc::default(), limits.rows_in_flight(scorers));
        let queue_rows = u32::try_from(limits.queue_rows.get().min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let lane = || Arc::new(Semaphore::new(queue_rows as usize));
        Self { queue, info, queue_rows, rows_in_flight, interactive: lane(), bulk: lane(), health, metrics }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What all scorers say of their model, which may lie on several devices.
fn common_info(scorers: &[Arc<dyn Scorer>]) -> Result<ModelInfo> {
    let first = scorers.first().ok_or_else(|| Error::Failed("the engine was given no model".to_owned()))?;
    let devices: Vec<&str> = scorers.iter().map(|scorer| scorer.info().device.as_str()).collect();
    Ok(ModelInfo { device: devices.join(","), ..first.info().clone() })
}

/// The model threads: how each is called, what it does, and with which of so many scorers.
fn crew(limits: &EngineLimits, scorers: usize) -> Vec<(String, Role, usize)> {
    let threads = 0..limits.threads.get();
    match limits.runners {
        Runners::Tokenizers => threads.map(|index| (format!("model-{index}"), Role::Both, index % scorers)).collect(),
        Runners::Own(each) => {
            let of = |device| {
                (0..each.get()).map(move |index| (format!("model-{device}-{index}"), Role::Run { device }, device))
            };
            let own = (0..scorers).flat_map(of);
            threads.map(|index| (format!("tokenize-{index}"), Role::Tokenize, 0)).chain(own).collect()
        }
    }
}

impl Engine {
    /// Starts the model threads over scorers of one model, one for each device that it lies on.
    ///
    /// # Errors
    /// [`Error::Failed`] when there is no scorer, or the system gives no thread.
    pub fn start(scorers: Vec<Arc<dyn Scorer>>, limits: EngineLimits) -> Result<Self> {
        let info = common_info(&scorers)?;
        let budget = Arc::new(Budget::new(limits.batch, limits.batch_latency));
        let queue = Arc::new(Queue::new(Arc::clone(&budget), &limits, scorers.len()));
        let (dying, health) = watch::channel(Health::Serving);
        // Before the first thread: where the system gives no second one, the first ends with the queue.
        let shared = Arc::new(Shared::new(Arc::clone(&queue), info, &limits, scorers.len(), health));
        let engine = Self { shared, turn: None, timings: None, spans: SpanLimit::default() };
        for (name, role, scorer) in crew(&limits, scorers.len()) {
            let (queue, budget, scorer) = (Arc::clone(&queue), Arc::clone(&budget), Arc::clone(&scorers[scorer]));
            let metrics = Arc::clone(&engine.shared.metrics);
            Worker {
                role,
                queue,
                scorer,
                budget,
                background: limits.background,
                health: dying.clone(),
                put_aside: Cell::new(false),
                metrics,
                time: Stopwatch::default(),
            }
            .spawn(name)?;
        }
        Ok(engine)
    }

    /// The same engine for one stream of jobs, which takes turns with other streams in the lane of tables: what is
    /// tokenized is shared out among them, and where the lane is full each still has room for one job of few rows.
    #[must_use]
    pub fn for_stream(&self) -> Self {
        Self { turn: Some(Turn::new()), spans: SpanLimit::of_stream(), ..self.clone() }
    }

    /// Scores a column of texts, row for row. Dropping the future cancels what has not run.
    ///
    /// # Errors
    /// [`Error::Busy`] when the interactive lane is full, and as for [`Engine::score_in`].
    pub async fn score(&self, texts: StringViewArray, lane: Lane) -> Result<Scores> {
        self.score_rows(texts, lane).await?.whole()
    }

    /// The same, but a row that cannot be scored fails nothing: [`Scores::missed`] says which have no score, and why.
    ///
    /// # Errors
    /// As for [`Engine::score`], but for that.
    pub async fn score_rows(&self, texts: StringViewArray, lane: Lane) -> Result<Scores> {
        let permit = match lane {
            Lane::Interactive => self.reserve(texts.len())?,
            Lane::Bulk => self.wait(texts.len()).await?,
        };
        self.run(permit, texts).await
    }

    /// [`Engine::score`] where the permit was taken before.
    ///
    /// # Errors
    /// [`Error::Unscorable`] when a row has no score, [`Error::Failed`] when scoring failed, and [`Error::Stopped`] when a
    /// model thread died.
    pub async fn score_in(&self, permit: Permit, texts: StringViewArray) -> Result<Scores> {
        self.run(permit, texts).await?.whole()
    }

    async fn run(&self, permit: Permit, texts: StringViewArray) -> Result<Scores> {
        let rows = texts.len();
        let classes = self.shared.info.labels.len();
        if texts.null_count() == rows {
            return Ok(Scores::nulls(rows, classes));
        }
        if let Some(timings) = &self.timings {
            timings.add_rows(rows);
        }
        let (reply, answer) = oneshot::channel();
        let job =
            Job::new(texts, classes, reply, permit.room, Clock::new(permit.since, self.timings.clone(), permit.spans));
        self.shared.queue.push(permit.lane, permit.turn, job).map_err(|()| self.stopped())?;
        answer.await.map_err(|_| self.stopped())?
    }

    /// The same engine, which adds the times of the jobs that come this way to `timings`.
    #[must_use]
    pub fn timed(&self, timings: Arc<Timings>) -> Self {
        Self { timings: Some(timings), ..self.clone() }
    }

    /// What has been counted since the start.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.shared.metrics
    }

    /// What waits, in each lane.
    pub fn queue_depth(&self) -> ByLane<QueueDepth> {
        self.shared.queue.depth()
    }

    /// Rows that a stream must have in the engine for all that is run at once to be whole batches.
    pub fn rows_in_flight(&self) -> usize {
        self.shared.rows_in_flight
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

    fn stopped(&self) -> Error {
        match self.health() {
            Health::Serving => Error::Stopped("the engine was shut down".to_owned()),
            Health::Dead(cause) => Error::Stopped(cause),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
