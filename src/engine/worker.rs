//! A model thread: runs the next batch, or tokenizes and plans the next window when no batch waits.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
#[cfg(target_os = "linux")]
use tracing::debug;
use tracing::{error, warn};

use super::budget::Budget;
use super::job::{Job, Row};
use super::queue::{Queue, Role, Work};
use super::stopwatch::Stopwatch;
use super::{EngineLimits, Health, Lane, Scorer};
use crate::classifier::plan::{Batch, BatchLimits, plan};
use crate::classifier::{BatchScores, Score};
use crate::metrics::{EngineMetrics, Forward, LaneMetrics};
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
    /// What bounds the engine.
    pub limits: EngineLimits,
    /// Where it says that it dies.
    pub health: watch::Sender<Health>,
    /// Whether it has put an interactive long text aside: only one at a time.
    pub put_aside: Cell<bool>,
    /// What it counts.
    pub metrics: Arc<EngineMetrics>,
    /// How long that takes.
    pub time: Stopwatch,
}

/// Rows that are tokenized before a look at what is interactive: less than a millisecond's work.
const ROWS_AT_A_STRETCH: usize = 32;

impl Worker {
    /// Starts the thread. If it panics, or its device is lost, the queue is closed and `health` says why.
    pub fn spawn(self, name: String) -> Result<()> {
        let run = move || {
            if self.limits.background {
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
            Work::Batches(lane, batches) => self.run_batches(*lane, batches),
            Work::Window(lane, rows) => {
                let (batches, time) = self.time.time(|| self.plan_window(*lane, rows));
                self.metrics(*lane).tokenized(time);
                self.queue.push_batches(*lane, batches);
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

    fn plan_window(&self, lane: Lane, window: &[(Arc<Job>, Range<usize>)]) -> Vec<Batch<Row>> {
        let rows: Vec<_> = window.iter().flat_map(|(job, range)| self.encode(lane, job, range.clone())).collect();
        let limits = self.share(&rows);
        plan(rows, limits)
    }

    fn encode(&self, lane: Lane, job: &Arc<Job>, range: Range<usize>) -> impl Iterator<Item = (Vec<u32>, Row)> {
        job.tokenize();
        let texts = range.filter_map(|index| job.text(index).map(|text| (index, text)));
        texts.enumerate().filter_map(move |(count, (index, text))| {
            if count % ROWS_AT_A_STRETCH == 0 {
                self.give_way(lane);
            }
            match self.scorer.encode(text, &|| self.give_way_within(lane)) {
                Ok(encoding) => Some((encoding.ids, Row { job: Arc::clone(job), index, tokens: encoding.tokens })),
                Err(error) => {
                    self.metrics(lane).failed(1);
                    job.miss(index, &error);
                    None
                }
            }
        })
    }

    /// A window of few rows is shared out among the threads rather than left to one of them: its rows, and, as long ones
    /// come first, its tokens.
    fn share(&self, rows: &[(Vec<u32>, Row)]) -> BatchLimits {
        let limits = self.budget.limits();
        if self.role != Role::Both {
            return limits;
        }
        let share = |whole: usize| whole.div_ceil(self.limits.threads.get()).max(1);
        let tokens = rows.iter().map(|(sequence, _)| sequence.len()).sum();
        BatchLimits { rows: limits.rows.min(share(rows.len())), tokens: limits.tokens.min(share(tokens)) }
    }

    fn run_batches(&self, lane: Lane, batches: &[Batch<Row>]) {
        let batches: Vec<Wanted<'_>> = batches.iter().map(Wanted::of).filter(|b| !b.sequences.is_empty()).collect();
        if batches.is_empty() {
            return;
        }
        let scores = self.forward(lane, &batches);
        let metrics = self.metrics(lane);
        let mut too_large = Vec::new();
        for (batch, scores) in batches.iter().zip(scores) {
            match scores {
                Ok(scores) => batch.answer(&scores, metrics),
                Err(Error::OutOfMemory(cause)) if batch.sequences.len() > 1 => too_large.push((batch, cause)),
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
        self.run_smaller(lane, &too_large);
    }

    /// Runs batches, and counts that before anybody has an answer.
    fn forward(&self, lane: Lane, batches: &[Wanted<'_>]) -> Vec<BatchScores> {
        let metrics = self.metrics(lane);
        let limits = self.budget.limits();
        for batch in batches {
            batch.begin(limits, metrics);
        }
        let sequences: Vec<&[&[u32]]> = batches.iter().map(|batch| &batch.sequences[..]).collect();
        let (scores, time) = self.time.time(|| self.scorer.score_each(&sequences, &|| self.give_way(lane)));
        metrics.computed(time);
        let tokens: usize = batches.iter().map(Wanted::tokens).sum();
        let of_token = time.as_secs_f64() / tokens.max(1) as f64;
        for batch in batches {
            batch.charge(of_token);
        }
        scores
    }

    /// Queues batches again, in halves, that the device had no memory for. Later ones are no larger.
    fn run_smaller(&self, lane: Lane, batches: &[(&Wanted<'_>, String)]) {
        if let Some((largest, cause)) = batches.iter().max_by_key(|(batch, _)| batch.tokens()) {
            let limits = self.budget.halve(largest.tokens());
            warn!(cause, tokens = limits.tokens, "a batch was too much for the device: smaller ones from now on");
            let halves = batches.iter().flat_map(|(batch, _)| batch.halves(limits.rows));
            self.queue.return_batches(lane, halves.collect());
        }
    }
}

/// What of a batch someone still waits for.
struct Wanted<'a> {
    sequences: Vec<&'a [u32]>,
    rows: Vec<&'a [Row]>,
}

impl<'a> Wanted<'a> {
    fn of(batch: &'a Batch<Row>) -> Self {
        let all = batch.sequences.iter().map(Vec::as_slice).zip(batch.rows.iter().map(Vec::as_slice));
        let (sequences, rows) = all.filter(|(_, rows)| rows.iter().any(|row| row.job.is_wanted())).unzip();
        Self { sequences, rows }
    }

    fn tokens(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.len()).sum()
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().copied().flatten()
    }

    /// Counts a forward that is about to be run.
    fn begin(&self, limits: BatchLimits, metrics: &LaneMetrics) {
        self.rows().filter_map(|row| row.job.begin()).for_each(|waited| metrics.waited(waited));
        let (sequences, tokens) = (self.sequences.len(), self.tokens());
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        metrics.forward(Forward {
            sequences,
            tokens,
            longest: self.sequences.iter().map(|sequence| sequence.len()).max().unwrap_or(0),
            fill: share(sequences, limits.rows).max(share(tokens, limits.tokens)),
        });
    }

    /// Gives each job its share of a forward that took so many seconds a token.
    fn charge(&self, of_token: f64) {
        for (sequence, rows) in self.sequences.iter().zip(&self.rows) {
            let share = Duration::from_secs_f64(of_token * sequence.len() as f64 / rows.len() as f64);
            rows.iter().for_each(|row| row.job.charge(share));
        }
    }

    fn answer(&self, scores: &[Result<Score>], metrics: &LaneMetrics) {
        let of = |scored: bool| {
            let rows = self.rows.iter().zip(scores).filter(|(_, score)| score.is_ok() == scored);
            rows.map(|(rows, _)| rows.len()).sum()
        };
        metrics.scored(of(true));
        metrics.failed(of(false));
        for ((sequence, rows), score) in self.sequences.iter().zip(&self.rows).zip(scores) {
            for row in *rows {
                match score {
                    Ok(score) => row.job.set(row, score, row.tokens > sequence.len()),
                    Err(error) => row.job.miss(row.index, error),
                }
            }
        }
    }

    fn fail(&self, error: &Error, metrics: &LaneMetrics) {
        metrics.failed(self.rows().count());
        self.rows().for_each(|row| row.job.fail(error));
    }

    /// The same in batches of at most half of the tokens, or of one sequence.
    fn halves(&self, rows: usize) -> Vec<Batch<Row>> {
        let limits = BatchLimits { rows, tokens: self.tokens() / 2 };
        let rows = self.sequences.iter().zip(&self.rows);
        plan(rows.flat_map(|(sequence, rows)| rows.iter().map(|row| (sequence.to_vec(), row.clone()))), limits)
    }
}
