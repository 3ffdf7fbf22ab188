//! A model thread: runs the next batch, or tokenizes and plans the next window when no batch waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;

use super::job::{Job, Row};
use super::queue::{Queue, Work};
use super::{EngineLimits, Health, Scorer};
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
    let worker = Worker { queue, scorer, limits };
    let run = move || worker.run(&health);
    std::thread::Builder::new()
        .name(format!("model-{index}"))
        .spawn(run)
        .map(drop)
        .map_err(|e| Error::Failed(format!("cannot start a model thread: {e}")))
}

struct Worker {
    queue: Arc<Queue>,
    scorer: Arc<dyn Scorer>,
    limits: EngineLimits,
}

impl Worker {
    fn run(&self, health: &watch::Sender<Health>) {
        while let Some(work) = self.queue.next() {
            // The work is kept out here: its jobs are let go, unanswered, only when the cause can be read.
            let done = catch_unwind(AssertUnwindSafe(|| match &work {
                Work::Batch(batch) => self.run_batch(batch),
                Work::Window(lane, rows) => self.queue.push_batches(*lane, self.plan_window(rows)),
            }));
            if let Err(panic) = done {
                let cause = format!("a model thread died: {}", panic_text(&*panic));
                error!(cause, "the engine stops");
                health.send_replace(Health::Dead(cause));
                self.queue.abandon();
                return;
            }
        }
    }

    fn plan_window(&self, window: &[(Arc<Job>, std::ops::Range<usize>)]) -> Vec<Batch<Row>> {
        let mut rows = Vec::new();
        for (job, range) in window {
            match self.encode(job, range.clone()) {
                Ok(encoded) => rows.extend(encoded),
                Err(error) => job.fail(&error),
            }
        }
        let limits = self.share(rows.len());
        plan(rows, limits)
    }

    fn encode(&self, job: &Arc<Job>, range: std::ops::Range<usize>) -> Result<Vec<(Vec<u32>, Row)>> {
        range
            .filter_map(|index| job.text(index).map(|text| (index, text)))
            .map(|(index, text)| {
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

    fn run_batch(&self, batch: &Batch<Row>) {
        let wanted = |rows: &&Vec<Row>| rows.iter().any(|row| row.job.is_wanted());
        let (sequences, rows): (Vec<&[u32]>, Vec<&Vec<Row>>) =
            batch.sequences.iter().map(Vec::as_slice).zip(&batch.rows).filter(|(_, rows)| wanted(rows)).unzip();
        if sequences.is_empty() {
            return;
        }
        match self.scorer.score(&sequences) {
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
