//! Which algorithm is fastest, measured when a model is laid out: the library guesses.

use std::time::Duration;

use cudarc::cublaslt::sys::cublasLtMatmulAlgo_t;
use tracing::debug;

use super::super::event::Event;
use super::super::trouble::Trouble;
use super::super::wait::Watch;
use super::plan::Plan;
use super::{Key, Operands, Products, Shape};

/// Algorithms that are tried, and in how many rounds.
const CANDIDATES: usize = 8;
const ROUNDS: usize = 4;

/// For how long each is run in a round, so that what launches take does not count, and how often at most.
const STRETCH: Duration = Duration::from_micros(500);
const MOST_RUNS: u32 = 64;

/// What takes longer is run in one round.
const LONG: Duration = Duration::from_millis(20);

/// What the library thinks fastest is taken unless another takes no more than this share of its time.
const WORTH: f64 = 0.97;

/// What was fastest.
#[derive(Default)]
pub struct Choices(Vec<(Key, cublasLtMatmulAlgo_t)>);

impl Choices {
    /// What was fastest for as many rows, or for up to twice as many: a few rows want other tiles than thousands. For more than
    /// were timed, that of the most.
    pub fn for_rows(&self, key: &Key) -> Option<cublasLtMatmulAlgo_t> {
        let rows = key.shape.rows;
        let of_layer = || self.0.iter().filter(|(other, _)| other.with_rows(0) == key.with_rows(0));
        let near = of_layer().filter(|(other, _)| (rows..2 * rows).contains(&other.shape.rows));
        let near = near.min_by_key(|(other, _)| other.shape.rows);
        let most = || of_layer().max_by_key(|(other, _)| other.shape.rows).filter(|(other, _)| other.shape.rows < rows);
        near.or_else(most).map(|(_, algorithm)| *algorithm)
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
        let key = Key::of(shape, &operands);
        if self.choices.has(&key) {
            return Ok(());
        }
        let mut plan = Plan::new(&key, operands.bias)?;
        self.queries += 1;
        let candidates = plan.candidates(self.handle.0, &key, self.workspace.bytes(), CANDIDATES)?;
        if candidates.len() == 1 {
            return Ok(());
        }
        let mut least = vec![None; candidates.len()];
        // The first round loads the algorithms' code, and is not counted. Rounds, since a card's clocks change meanwhile.
        let (mut runs, mut rounds, mut round) = (1, ROUNDS, 0);
        while round <= rounds {
            for (candidate, least) in candidates.iter().zip(&mut least) {
                plan.set(*candidate);
                // SAFETY: the caller's.
                let run = || unsafe { plan.run(self.handle.0, &operands, &self.workspace, &self.stream) };
                begin.record(self.stream.cu_stream())?;
                if (0..runs).try_for_each(|_| run()).is_err() {
                    continue;
                }
                end.record(self.stream.cu_stream())?;
                watch.wait(end)?;
                let taken = end.since(begin)? / runs;
                if round > 0 && least.is_none_or(|least| taken < least) {
                    *least = Some(taken);
                }
                if round == 0 {
                    runs = runs.max(STRETCH.div_duration_f32(taken).ceil().min(MOST_RUNS as f32) as u32);
                    rounds = if taken > LONG { 1 } else { rounds };
                }
            }
            round += 1;
        }
        if let Some(index) = fastest(&least) {
            debug!(?shape, candidates = candidates.len(), fastest = index, taken = ?least[index], "algorithms were timed");
            self.choices.0.push((key, candidates[index]));
        }
        Ok(())
    }
}

/// The first, unless another is clearly faster. `None` took no time, for it failed.
fn fastest(times: &[Option<Duration>]) -> Option<usize> {
    let timed = times.iter().enumerate().filter_map(|(index, time)| Some((index, (*time)?)));
    let (index, least) = timed.min_by_key(|(_, time)| *time)?;
    match times[0] {
        Some(first) if least.as_secs_f64() > WORTH * first.as_secs_f64() => Some(0),
        _ => Some(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_thinks_best_is_taken_unless_another_is_clearly_faster() {
        let times = |micros: &[Option<u64>]| {
            fastest(&micros.iter().map(|us| us.map(Duration::from_micros)).collect::<Vec<_>>())
        };
        assert_eq!(times(&[Some(100), Some(98), Some(120)]), Some(0));
        assert_eq!(times(&[Some(100), Some(96), Some(90)]), Some(2));
        assert_eq!(times(&[None, Some(96), None]), Some(1));
        assert_eq!(times(&[None, None]), None);
    }
}
