//! A model thread: runs the next batch, or tokenizes and plans the next window when no batch waits.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;
#[cfg(target_os = "linux")]
use tracing::debug;
use tracing::error;

use super::job::{Job, Row};
use super::queue::{Queue, Work};
use super::{EngineLimits, Health, Lane, Scorer};
use crate::classifier::plan::{Batch, BatchLimits, plan};
use crate::{Error, Result};

/// Starts a model thread. If it panics, the queue is abandoned and `health` says why.
pub fn spawn(
    index: usize,
    limits: EngineLimits,
    queue: Arc<Queue>,
    scorer: Arc<dyn Scorer>,
    health: watch::Sender<Health>,
) -> Result<()> {
    let worker = Worker { queue, scorer, limits, health };
    let run = move || {
        if limits.background {
            leave_the_processor_to_others();
        }
        worker.run();
    };
    std::thread::Builder::new()
        .name(format!("model-{index}"))
        .spawn(run)
        .map(drop)
        .map_err(|e| Error::Failed(format!("cannot start a model thread: {e}")))
}

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

struct Worker {
    queue: Arc<Queue>,
    scorer: Arc<dyn Scorer>,
    limits: EngineLimits,
    health: watch::Sender<Health>,
}

/// Rows that are tokenized before a look at what is interactive: less than a millisecond's work.
const ROWS_AT_A_STRETCH: usize = 32;

impl Worker {
    fn run(&self) {
        while let Some(work) = self.queue.next() {
            self.perform(&work);
        }
    }

    /// Does a piece of work; if that panics, the engine stops, and [`Queue::next`] has nothing more to give.
    fn perform(&self, work: &Work) {
        // The work is kept out here: its jobs are let go, unanswered, only when the cause can be read.
        let done = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Batch(lane, batch) => self.run_batch(*lane, batch),
            Work::Window(lane, rows) => self.queue.push_batches(*lane, self.plan_window(*lane, rows)),
        }));
        if let Err(panic) = done {
            let cause = format!("a model thread died: {}", panic_text(&*panic));
            error!(cause, "the engine stops");
            self.health.send_replace(Health::Dead(cause));
            self.queue.abandon();
        }
    }

    /// With bulk in its hands, lets go first what is interactive and came meanwhile.
    fn give_way(&self, lane: Lane) {
        if lane == Lane::Bulk {
            while let Some(work) = self.queue.next_interactive() {
                self.perform(&work);
            }
        }
    }

    fn plan_window(&self, lane: Lane, window: &[(Arc<Job>, Range<usize>)]) -> Vec<Batch<Row>> {
        let mut rows = Vec::new();
        for (job, range) in window {
            match self.encode(lane, job, range.clone()) {
                Ok(encoded) => rows.extend(encoded),
                Err(error) => job.fail(&error),
            }
        }
        let limits = self.share(rows.len());
        plan(rows, limits)
    }

    fn encode(&self, lane: Lane, job: &Arc<Job>, range: Range<usize>) -> Result<Vec<(Vec<u32>, Row)>> {
        range
            .filter_map(|index| job.text(index).map(|text| (index, text)))
            .enumerate()
            .map(|(count, (index, text))| {
                if count % ROWS_AT_A_STRETCH == 0 {
                    self.give_way(lane);
                }
                let encoding = self.scorer.encode(text)?;
                Ok((encoding.ids, Row { job: Arc::clone(job), index, tokens: encoding.tokens }))
            })
            .collect()
    }

    /// A window of few rows is shared out among the threads rather than left to one of them.
    fn share(&self, rows: usize) -> BatchLimits {
        let share = rows.div_ceil(self.limits.threads.get()).max(1);
        BatchLimits { rows: self.limits.batch.rows.min(share), ..self.limits.batch }
    }

    fn run_batch(&self, lane: Lane, batch: &Batch<Row>) {
        let wanted = |rows: &&Vec<Row>| rows.iter().any(|row| row.job.is_wanted());
        let (sequences, rows): (Vec<&[u32]>, Vec<&Vec<Row>>) =
            batch.sequences.iter().map(Vec::as_slice).zip(&batch.rows).filter(|(_, rows)| wanted(rows)).unzip();
        if sequences.is_empty() {
            return;
        }
        match self.scorer.score(&sequences, &|| self.give_way(lane)) {
            Ok(scores) => {
                for ((sequence, rows), score) in sequences.iter().zip(rows).zip(&scores) {
                    for row in rows {
                        row.job.set(row, score, row.tokens > sequence.len());
                    }
                }
            }
            Err(error) => {
                error!(%error, sequences = sequences.len(), "a batch failed");
                rows.into_iter().flatten().for_each(|row| row.job.fail(&error));
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}
