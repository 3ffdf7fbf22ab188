//! What bounds the engine, and what suits a model.

use std::num::NonZeroUsize;

use crate::classifier::Classifier;
use crate::classifier::plan::BatchLimits;

/// Who runs the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runners {
    /// The threads that tokenize: the model runs on the same processor.
    Tokenizers,
    /// Threads of each scorer's own, which wait for its device most of the time. With two, the one's batches are with the
    /// device while the other hands out scores.
    Own {
        /// Threads for each scorer.
        threads: NonZeroUsize,
        /// Batches that a thread takes at once, whose scores come back together.
        batches: NonZeroUsize,
    },
}

/// What bounds the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Threads that tokenize, and, unless others do, run one batch at a time.
    pub threads: NonZeroUsize,
    /// Who runs the batches.
    pub runners: Runners,
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

/// Rows that are tokenized and ordered by length together: 32 batches of 32, enough to pack them well.
const WINDOW_ROWS: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// The most of them, however large batches may be: more would only wait longer.
const MAX_WINDOW_ROWS: usize = 65_536;

/// Tokens of a usual text, with the two special ones.
const USUAL_TOKENS: usize = 25;

/// Rows that may wait in each lane, unless the operator says otherwise.
const QUEUE_ROWS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// Threads of each GPU: while one waits for its batches the other hands out scores and brings the next.
const GPU_THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

/// Batches whose scores come back from a GPU together: a quarter of a window of batches of 32.
const GPU_BATCHES: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

impl EngineLimits {
    /// What suits a model, where it lies: `threads`, or else one a core, and windows of several of the largest batches.
    pub fn for_model(classifier: &Classifier, batch: BatchLimits, threads: Option<NonZeroUsize>) -> Self {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let largest = batch.rows.min(batch.tokens / USUAL_TOKENS).min(MAX_WINDOW_ROWS / 4);
        Self {
            threads: threads.unwrap_or_else(cores),
            runners: if classifier.is_on_gpu() {
                Runners::Own { threads: GPU_THREADS, batches: GPU_BATCHES }
            } else {
                Runners::Tokenizers
            },
            batch,
            window_rows: NonZeroUsize::new(4 * largest).map_or(WINDOW_ROWS, |rows| rows.max(WINDOW_ROWS)),
            queue_rows: QUEUE_ROWS,
            background: false,
        }
    }
}
