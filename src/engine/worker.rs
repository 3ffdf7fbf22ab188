//! A model thread: tokenizes the next window, runs the next batch, or assists in one that runs.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;
#[cfg(target_os = "linux")]
use tracing::debug;
use tracing::{error, warn};

use super::budget::Budget;
use super::job::{Job, Row};
use super::queue::Queue;
use super::stopwatch::Stopwatch;
use super::work::{Role, Work};
use super::{Health, Lane, Scorer};
use crate::classifier::BatchScores;
use crate::classifier::batch::{Batch, BatchLimits};
use crate::metrics::{EngineMetrics, LaneMetrics};
use crate::panics::caught;
use crate::{Error, Result};

/// How far a model thread stands back, of 0 to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Linux keeps a priority for each thread.
fn leave_the_processor_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        debug!(%error, "a model thread keeps its priority");
    }
}

/// A model thread before it runs.
pub struct Worker {
    /// What it takes from the queue.
    pub role: Role,
    /// Where it takes it from.
    pub queue: Arc<Queue>,
    /// What it tokenizes and scores with.
    pub scorer: Arc<dyn Scorer>,
    /// How large its batches may be.
    pub budget: Arc<Budget>,
    /// As in [`super::EngineLimits`].
    pub background: bool,
    /// Where it says that it dies.
    pub health: watch::Sender<Health>,
    /// Whether it has put an interactive long text aside: only one at a time.
    pub put_aside: Cell<bool>,
    /// What it counts.
    pub metrics: Arc<EngineMetrics>,
    /// How long that takes.
    pub time: Stopwatch,
}

/// Texts that are tokenized between looks at what is interactive.
const STRETCH: usize = 32;

impl Worker {
    /// Starts the thread. If it panics, or its device is lost, the queue is closed and `health` says why.
    pub fn spawn(self, name: String) -> Result<()> {
        let run = move || {
            // Who feeds a device, or waits for one, takes little of the processor, and the device waits for it.
            if self.background && self.role == Role::Both {
                leave_the_processor_to_others();
            }
            self.run();
        };
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(run).map(drop).map_err(|e| Error::Failed(format!("cannot start a model thread: {e}")))
    }

    fn run(&self) {
        while let Some(work) = self.queue.next(self.role) {
            self.perform(&work);
        }
    }

    /// Does a piece of work; if that panics, the engine stops, and [`Queue::next`] has nothing more to give.
    fn perform(&self, work: &Work) {
        // The work is kept out here: its jobs are let go, unanswered, only when the cause can be read.
        let done = caught(|| match work {
            Work::Batch(lane, batch) => self.run_batch(*lane, batch),
            Work::Assist(assistance) => self.queue.assist(assistance),
            Work::Window(lane, window) => {
                let (rows, time) = self.time.time(|| self.tokenize(*lane, window));
                self.metrics(*lane).tokenized(time);
                self.queue.push_rows(*lane, rows);
            }
        });
        if let Err(panicked) = done {
            self.die(format!("a model thread died: {panicked}"));
        }
    }

    fn metrics(&self, lane: Lane) -> &LaneMetrics {
        match lane {
            Lane::Interactive => &self.metrics.lanes.interactive,
            Lane::Bulk => &self.metrics.lanes.bulk,
        }
    }

    fn die(&self, cause: String) {
        error!(cause, "the engine stops");
        self.health.send_replace(Health::Dead(cause));
        self.queue.close();
    }

    /// With bulk in its hands, lets go first what is interactive and came meanwhile.
    fn give_way(&self, lane: Lane) {
        if lane == Lane::Bulk {
            while let Some(work) = self.queue.next_interactive(self.role) {
                self.time.aside(|| self.perform(&work));
            }
        }
    }

    /// Within a long text lets go first what is interactive: beside bulk all of it, beside a request one piece of work, so
    /// that the text gets on, too.
    fn give_way_within(&self, lane: Lane) {
        if lane == Lane::Interactive && !self.put_aside.replace(true) {
            if let Some(work) = self.queue.next_interactive(self.role) {
                self.time.aside(|| self.perform(&work));
            }
            self.put_aside.set(false);
        }
        self.give_way(lane);
    }

    fn tokenize(&self, lane: Lane, window: &[(Arc<Job>, Range<usize>)]) -> Vec<(Vec<u32>, Row)> {
        let stretches =
            |range: Range<usize>| range.clone().step_by(STRETCH).map(move |from| from..range.end.min(from + STRETCH));
        let each = window.iter().flat_map(|(job, range)| stretches(range.clone()).map(move |rows| (job, rows)));
        let mut tokenized = Vec::new();
        for (job, rows) in each {
            self.give_way(lane);
            // Whoever asked may have gone meanwhile.
            if job.is_wanted() {
                tokenized.extend(self.encode(lane, job, rows));
            }
        }
        tokenized
    }

    fn encode(&self, lane: Lane, job: &Arc<Job>, range: Range<usize>) -> impl Iterator<Item = (Vec<u32>, Row)> {
        job.tokenize();
        let texts = range.filter_map(|index| job.text(index).map(|text| (index, text)));
        texts.filter_map(move |(index, text)| match self.scorer.encode(text, &|| self.give_way_within(lane)) {
            Ok(encoding) => Some((encoding.ids, Row { job: Arc::clone(job), index, tokens: encoding.tokens })),
            Err(error) => {
                self.metrics(lane).failed(1);
                job.miss(index, &error);
                None
            }
        })
    }

    fn run_batch(&self, lane: Lane, batch: &Batch<Row>) {
        let metrics = self.metrics(lane);
        match self.forward(lane, batch) {
            Ok(scores) => batch.answer(&scores, metrics),
            Err(Error::OutOfMemory(cause)) if batch.sequences.len() > 1 => self.run_smaller(lane, batch, &cause),
            Err(error @ Error::OutOfMemory(_)) => batch.answer(&[Err(error)], metrics),
            Err(error) => {
                error!(%error, sequences = batch.sequences.len(), "a batch failed");
                // First, so that who hears of it finds the engine closed.
                if let Error::Stopped(cause) = &error {
                    self.die(cause.clone());
                }
                batch.fail(&error, metrics);
            }
        }
    }

    /// Runs a batch, and counts that before anybody has an answer.
    fn forward(&self, lane: Lane, batch: &Batch<Row>) -> BatchScores {
        let (metrics, limits) = (self.metrics(lane), self.budget.limits());
        batch.begin(limits, metrics);
        let sequences: Vec<&[u32]> = batch.sequences.iter().map(Vec::as_slice).collect();
        let team = self.queue.open_team(lane, self.role);
        let (scores, time) = self.time.time(|| self.scorer.score_batch(&sequences, &team, &|| self.give_way(lane)));
        drop(team);
        if matches!(scores, Err(Error::OutOfMemory(_))) && batch.sequences.len() > 1 {
            // Before the next batch is taken.
            self.budget.halve(batch.tokens());
        }
        let device_time = self.queue.computed(self.role, batch.tokens(), time);
        if scores.is_ok() {
            self.budget.measured(batch.tokens(), batch.fill(limits), device_time);
        }
        metrics.computed(time);
        batch.charge(time);
        scores
    }

    /// Queues a batch again, in halves, that the device had no memory for.
    fn run_smaller(&self, lane: Lane, batch: &Batch<Row>, cause: &str) {
        let limits = self.budget.limits();
        warn!(cause, tokens = limits.tokens, "a batch was too much for the device: smaller ones from now on");
        let halves = batch.clone().split(BatchLimits { tokens: batch.tokens() / 2, ..limits });
        self.queue.return_batches(lane, halves);
    }
}
