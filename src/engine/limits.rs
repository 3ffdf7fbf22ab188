//! What bounds the engine, and what suits a model.

use std::num::NonZeroUsize;

use crate::Result;
use crate::classifier::plan::BatchLimits;
use crate::classifier::{Classifier, TokenBudget, calibrate};

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

/// What an operator may say of the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Texts in one batch; without a number, as many as `batch_tokens` allows.
    pub batch_rows: Option<NonZeroUsize>,
    /// Tokens in one batch.
    pub batch_tokens: TokenBudget,
    /// As in [`EngineLimits`]; without a number, one a core.
    pub threads: Option<NonZeroUsize>,
    /// As in [`EngineLimits`].
    pub queue_rows: NonZeroUsize,
    /// As in [`EngineLimits`].
    pub background: bool,
}

/// Rows that are tokenized and ordered by length together: 32 batches of 32, enough to pack them well.
const WINDOW_ROWS: usize = 1024;

/// The most of them, however large batches may be: more would only wait longer.
const MAX_WINDOW_ROWS: usize = 65_536;

/// Tokens of a usual text, with the two special ones.
const USUAL_TOKENS: usize = 25;

/// Threads of each GPU: while one waits for its batches the other hands out scores and brings the next.
const GPU_THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

/// Batches whose scores come back from a GPU together: a quarter of a window of batches of 32.
const GPU_BATCHES: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

impl EngineLimits {
    /// What suits a model, where it lies. With [`TokenBudget::Auto`] that is measured, which takes a while.
    ///
    /// # Errors
    /// As for [`calibrate`].
    pub fn for_model(classifier: &Classifier, options: &EngineOptions) -> Result<Self> {
        let tokens = match options.batch_tokens {
            TokenBudget::AtMost(tokens) => tokens.get(),
            TokenBudget::Auto => calibrate(classifier)?,
        };
        let batch = BatchLimits { rows: options.batch_rows.map_or(tokens, NonZeroUsize::get), tokens };
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            threads: options.threads.unwrap_or_else(cores),
            runners: if classifier.is_on_gpu() {
                Runners::Own { threads: GPU_THREADS, batches: GPU_BATCHES }
            } else {
                Runners::Tokenizers
            },
            batch,
            window_rows: window_rows(batch),
            queue_rows: options.queue_rows,
            background: options.background,
        })
    }
}

/// Several of the largest batches.
fn window_rows(batch: BatchLimits) -> NonZeroUsize {
    let largest = batch.rows.min(batch.tokens / USUAL_TOKENS).min(MAX_WINDOW_ROWS / 4);
    NonZeroUsize::MIN.saturating_add((4 * largest).max(WINDOW_ROWS) - 1)
}
