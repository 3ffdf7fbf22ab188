//! What waits: jobs to be tokenized, and batches to be run, in two lanes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Lane;
use super::job::{Job, Row};
use crate::classifier::plan::Batch;

/// Rows that are not shared out: tokenizing them takes no longer than a batch does.
const LEAST_WINDOW: usize = 128;

/// The queue that all model threads take from.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    window_rows: usize,
    threads: usize,
}

#[derive(Default)]
struct State {
    interactive: Waiting,
    bulk: Waiting,
    closed: bool,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch<Row>>,
    jobs: VecDeque<(Arc<Job>, usize)>,
}

/// What a model thread does next.
pub enum Work {
    /// Run a batch of the lane.
    Batch(Lane, Batch<Row>),
    /// Tokenize and plan these rows of the lane's jobs.
    Window(Lane, Vec<(Arc<Job>, std::ops::Range<usize>)>),
}

impl Queue {
    /// An empty queue whose windows hold so many rows, for so many model threads.
    pub fn new(window_rows: usize, threads: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), window_rows, threads }
    }

    /// Adds a job at its lane's end; an error when the queue was closed.
    pub fn push(&self, lane: Lane, job: Arc<Job>) -> Result<(), ()> {
        let mut state = self.lock();
        if state.closed {
            return Err(());
        }
        state.lane(lane).jobs.push_back((job, 0));
        self.changed.notify_one();
        Ok(())
    }

    /// Adds the batches of a window that was planned.
    pub fn push_batches(&self, lane: Lane, batches: Vec<Batch<Row>>) {
        self.lock().lane(lane).batches.extend(batches);
        self.changed.notify_all();
    }

    /// Waits for the next thing to do; `None` when the queue is closed and empty.
    ///
    /// What is interactive comes before what is bulk, and a planned batch before a new window, which bounds how much is
    /// tokenized ahead.
    pub fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = self.take(&mut state, Lane::Interactive).or_else(|| self.take(&mut state, Lane::Bulk)) {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is interactive and waits, for a thread that has bulk in its hands.
    pub fn next_interactive(&self) -> Option<Work> {
        self.take(&mut self.lock(), Lane::Interactive)
    }

    fn take(&self, state: &mut State, lane: Lane) -> Option<Work> {
        let waiting = state.lane(lane);
        if let Some(batch) = waiting.batches.pop_front() {
            return Some(Work::Batch(lane, batch));
        }
        // Few rows are shared out, so that no thread waits while another tokenizes for it.
        let share = waiting.rows().div_ceil(self.threads).max(LEAST_WINDOW);
        let window = waiting.window(share.min(self.window_rows));
        if window.is_empty() {
            return None;
        }
        if !waiting.jobs.is_empty() {
            self.changed.notify_one();
        }
        Some(Work::Window(lane, window))
    }

    /// Takes no more jobs; what is queued still runs.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes no more jobs, and drops all that wait, unanswered.
    pub fn abandon(&self) {
        let dropped = {
            let mut state = self.lock();
            state.closed = true;
            (std::mem::take(&mut state.interactive), std::mem::take(&mut state.bulk))
        };
        self.changed.notify_all();
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn lane(&mut self, lane: Lane) -> &mut Waiting {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Waiting {
    /// Rows that are not in a batch yet.
    fn rows(&self) -> usize {
        self.jobs.iter().map(|(job, next)| job.len() - next).sum()
    }

    /// The next rows in the order of arrival, of jobs that someone still waits for.
    fn window(&mut self, rows: usize) -> Vec<(Arc<Job>, std::ops::Range<usize>)> {
        let mut window = Vec::new();
        let mut room = rows;
        while room > 0
            && let Some((job, next)) = self.jobs.pop_front()
        {
            if !job.is_wanted() {
                continue;
            }
            let end = job.len().min(next + room);
            room -= end - next;
            if end < job.len() {
                self.jobs.push_front((Arc::clone(&job), end));
            }
            window.push((job, next..end));
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    /// The rows of the next windows of a queue for two threads, when one job of so many rows waits in it.
    fn windows(rows: usize, count: usize) -> Vec<usize> {
        let queue = Queue::new(1024, 2);
        let texts = StringViewArray::from_iter_values(std::iter::repeat_n("text", rows));
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (reply, _answer) = oneshot::channel();
        queue.push(Lane::Bulk, Job::new(texts, 2, reply, room)).unwrap();
        let next = |_| match queue.next().unwrap() {
            Work::Window(_, window) => window.into_iter().map(|(_, rows)| rows.len()).sum(),
            Work::Batch(..) => unreachable!("nothing was planned"),
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn few_rows_are_shared_out_and_many_are_not() {
        assert_eq!(windows(10_000, 3), [1024; 3]);
        assert_eq!(windows(1000, 4), [500, 250, 128, 122]);
        assert_eq!(windows(100, 1), [100]);
    }
}
