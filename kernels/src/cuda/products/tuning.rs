//! Which algorithm is fastest, measured when a model is laid out: the library guesses.

use std::time::Duration;

use cudarc::cublaslt::sys::cublasLtMatmulAlgo_t;
use tracing::debug;

use super::super::event::Event;
use super::super::trouble::Trouble;
use super::super::wait::Watch;
use super::plan::Plan;
use super::{Key, Operands, Products, Shape, alignment};

/// Algorithms that are tried, and how often each.
const CANDIDATES: usize = 8;
const ROUNDS: u32 = 4;

/// What was fastest.
#[derive(Default)]
pub struct Choices(Vec<(Key, cublasLtMatmulAlgo_t)>);

impl Choices {
    /// What was fastest for as many rows, or for up to twice as many: a few rows want other tiles than thousands.
    pub fn for_rows(&self, key: &Key) -> Option<cublasLtMatmulAlgo_t> {
        let rows = key.shape.rows;
        let is_near = |other: &Key| (rows..2 * rows).contains(&other.shape.rows);
        let fitting = self.0.iter().filter(|(other, _)| is_near(other) && other.with_rows(0) == key.with_rows(0));
        fitting.min_by_key(|(other, _)| other.shape.rows).map(|(_, algorithm)| *algorithm)
    }

    fn has(&self, key: &Key) -> bool {
        self.0.iter().any(|(other, _)| other == key)
    }
}

impl Key {
    const fn with_rows(self, rows: usize) -> Self {
        Self { shape: Shape { rows, ..self.shape }, ..self }
    }
}

impl Products {
    /// Times the algorithms for a shape, unless that was done; up to half as many rows have what is fastest, too.
    ///
    /// # Safety
    /// As for [`Products::run`]; `y` is written over.
    ///
    /// # Errors
    /// As there.
    pub unsafe fn tune(
        &mut self,
        shape: Shape,
        operands: Operands,
        watch: &Watch,
        [begin, end]: [&Event; 2],
    ) -> Result<(), Trouble> {
        let key = Key { shape, alignments: [operands.weight, operands.x, operands.y].map(alignment) };
        if self.choices.has(&key) {
            return Ok(());
        }
        let mut plan = Plan::new(&key, operands.bias)?;
        self.queries += 1;
        let candidates = plan.candidates(self.handle.0, &key, self.workspace.bytes(), CANDIDATES)?;
        if candidates.len() == 1 {
            return Ok(());
        }
        let mut best: Option<(Duration, usize)> = None;
        for (index, candidate) in candidates.iter().enumerate() {
            plan.set(*candidate);
            // SAFETY: the caller's.
            let run = || unsafe { plan.run(self.handle.0, &operands, &self.workspace, &self.stream) };
            // The first loads the algorithm's code.
            if run().is_err() {
                continue;
            }
            begin.record(self.stream.cu_stream())?;
            (0..ROUNDS).try_for_each(|_| run())?;
            end.record(self.stream.cu_stream())?;
            watch.wait(end)?;
            let taken = end.since(begin)? / ROUNDS;
            if best.is_none_or(|(least, _)| taken < least) {
                best = Some((taken, index));
            }
        }
        if let Some((taken, index)) = best {
            debug!(?shape, candidates = candidates.len(), fastest = index, ?taken, "algorithms were timed");
            self.choices.0.push((key, candidates[index]));
        }
        Ok(())
    }
}
