//! What bounds the engine, and what suits a model.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::Scorer;
use super::ahead::BATCHES_AHEAD;
use super::budget::USUAL_TOKENS;
use super::calibrate::{TokenBudget, calibrate};
use crate::Result;
use crate::classifier::Classifier;
use crate::classifier::batch::BatchLimits;
use crate::classifier::kernels::{GpuFacts, Place};

/// Who runs the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runners {
    /// The threads that tokenize: the model runs on the same processor.
    Tokenizers,
    /// So many threads of each scorer's own, which wait for its device most of the time. With two, the one's batch is behind the
    /// other's while that hands out scores.
    Own(NonZeroUsize),
}

/// What bounds the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Threads that tokenize, and, unless others do, run one batch at a time, or assist in one.
    pub threads: NonZeroUsize,
    /// Who runs the batches.
    pub runners: Runners,
    /// How large a batch may be. Of a device's own runners that is a forward.
    pub batch: BatchLimits,
    /// How long a forward may take, with what it may have to wait for: it has fewer tokens, if need be.
    pub batch_latency: Option<Duration>,
    /// Rows that are tokenized ahead of those who run batches, at least: among so many, like lengths are found.
    pub ahead_rows: NonZeroUsize,
    /// Rows that may wait in each lane.
    pub queue_rows: NonZeroUsize,
    /// Whether the model threads leave the processor to any other thread that wants it, so that requests are received
    /// and answered in time while a table is scored. Has an effect on Linux.
    pub background: bool,
}

/// What an operator may say of the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Texts in one batch of a core; without a number, and on a GPU, as many as `batch_tokens` allows.
    pub batch_rows: Option<NonZeroUsize>,
    /// Tokens in one batch; without a number, what suits a core or the card.
    pub batch_tokens: Option<TokenBudget>,
    /// As in [`EngineLimits`].
    pub batch_latency: Option<Duration>,
    /// As in [`EngineLimits`]; without a number, one a core.
    pub threads: Option<NonZeroUsize>,
    /// As in [`EngineLimits`].
    pub queue_rows: NonZeroUsize,
    /// As in [`EngineLimits`].
    pub background: bool,
}

/// Rows that are tokenized ahead, at least: 32 batches of 32, enough to find like lengths for each.
const AHEAD_ROWS: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Tokens in one batch of a core.
pub const TOKENS_OF_A_CORE: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Tokens of a GPU's batch for each of its multiprocessors, and the bounds of that. The narrowest product of DistilBERT, of 768
/// columns, has then six tiles of 128 × 128 for each: they are all busy but for the last ones.
const TOKENS_OF_A_MULTIPROCESSOR: usize = 128;
const TOKENS_OF_A_CARD: std::ops::RangeInclusive<usize> = 8192..=16_384;

/// A card's memory for each token, in bytes: a forward's activations take about half of it, and a sixteenth of the memory may go there.
const MEMORY_OF_A_TOKEN: usize = 16 * (64 << 10);

/// Threads of each GPU: while one waits for its batch the other hands out scores and brings the next.
const GPU_THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

impl EngineLimits {
    /// What suits a model, where it lies. With [`TokenBudget::Auto`] that is measured, which takes a while.
    ///
    /// # Errors
    /// Those of the forwards that measure.
    pub fn for_model(classifier: &Arc<Classifier>, options: &EngineOptions) -> Result<Self> {
        // A forward of a GPU takes as many texts as there are tokens for.
        let rows = options.batch_rows.filter(|_| !classifier.is_on_gpu());
        let rows = rows.map_or(usize::MAX, NonZeroUsize::get);
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let limits = |tokens: usize| Self {
            threads: options.threads.unwrap_or_else(cores),
            runners: if classifier.is_on_gpu() { Runners::Own(GPU_THREADS) } else { Runners::Tokenizers },
            batch: BatchLimits { rows: rows.min(tokens), tokens },
            batch_latency: options.batch_latency,
            ahead_rows: AHEAD_ROWS,
            queue_rows: options.queue_rows,
            background: options.background,
        };
        Ok(limits(match options.batch_tokens {
            Some(TokenBudget::AtMost(tokens)) => tokens.get(),
            Some(TokenBudget::Auto) => {
                let scorer = Arc::clone(classifier) as Arc<dyn Scorer>;
                calibrate(&scorer, &Self { background: false, ..limits(usize::MAX) })?
            }
            None => match classifier.place() {
                Place::Cpu => TOKENS_OF_A_CORE.get(),
                Place::Gpu(gpu) => tokens_of_a_card(&gpu.facts()),
            },
        }))
    }

    /// Batches that can be run at once over so many scorers.
    pub(super) const fn at_once(&self, scorers: usize) -> usize {
        match self.runners {
            Runners::Tokenizers => self.threads.get(),
            Runners::Own(_) => scorers,
        }
    }

    /// Rows of usual texts that one stream must have in the engine for each device to find whole batches: what is tokenized
    /// ahead, two that run, and as much again whose scores wait for those of rows before them. Of cores, what runs and what is tokenized ahead.
    pub(super) fn rows_in_flight(&self, scorers: usize) -> usize {
        match self.runners {
            Runners::Tokenizers => {
                let batches = self.threads.get() * (1 + BATCHES_AHEAD);
                batches.saturating_mul(self.batch.rows).min(self.queue_rows.get())
            }
            Runners::Own(_) => {
                let batches = scorers * 4 * BATCHES_AHEAD;
                batches.saturating_mul(self.batch.tokens / USUAL_TOKENS).min(self.queue_rows.get())
            }
        }
    }
}

/// By its size: what keeps it busy and its memory has room for.
fn tokens_of_a_card(facts: &GpuFacts) -> usize {
    let busy = TOKENS_OF_A_MULTIPROCESSOR * facts.multiprocessors;
    let (least, most) = TOKENS_OF_A_CARD.into_inner();
    busy.min(facts.memory / MEMORY_OF_A_TOKEN).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::super::testing::limits;
    use super::*;

    #[test]
    fn a_larger_card_has_larger_batches() {
        let card = |multiprocessors, gib: usize| {
            tokens_of_a_card(&GpuFacts { multiprocessors, memory: gib << 30, ..GpuFacts::default() })
        };
        assert_eq!((card(40, 15), card(58, 23)), (8192, 8192), "T4, L4");
        assert_eq!((card(84, 24), card(108, 40)), (10_752, 13_824), "RTX 3090 Ti, A100");
        assert_eq!((card(132, 80), card(128, 8)), (16_384, 8192), "H100, and one with little memory");
        assert_eq!(card(0, 0), 8192, "a driver that says nothing");
    }

    #[test]
    fn a_stream_alone_fills_the_devices() {
        let number = |number| NonZeroUsize::new(number).unwrap();
        let in_flight = |runners, batch, scorers| {
            EngineLimits { threads: number(16), runners, batch, ..limits(65_536) }.rows_in_flight(scorers)
        };
        let cores = BatchLimits { rows: 32, tokens: 4096 };
        assert_eq!(in_flight(Runners::Tokenizers, cores, 1), 16 * 3 * 32);
        let card = BatchLimits { rows: 16_384, tokens: 16_384 };
        assert_eq!(in_flight(Runners::Own(number(2)), card, 2), 2 * 8 * 655);
        let endless = BatchLimits { rows: usize::MAX, tokens: usize::MAX };
        assert_eq!(in_flight(Runners::Own(number(2)), endless, 1), 65_536);
    }
}
