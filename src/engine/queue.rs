//! What waits: jobs to be tokenized, and batches to be run, in two lanes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Lane;
use super::job::{Job, Row};
use super::turns::{Turn, Turns};
use crate::classifier::plan::Batch;
use crate::metrics::{ByLane, QueueDepth};

/// Rows that are not shared out: tokenizing them takes no longer than a batch does.
const LEAST_WINDOW: usize = 128;

/// Windows that may be planned and wait in a lane, for threads that tokenize and run nothing, so that a device never waits.
const PLANNED_WINDOWS: usize = 4;

/// Tokens in batches that are taken together: eight batches of 32 usual texts.
const TOKENS_AT_ONCE: usize = 8192;

/// The queue that all model threads take from.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    window_rows: usize,
    threads: usize,
    runners: usize,
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
    jobs: Turns,
}

/// What a thread takes from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Windows to tokenize, and one batch at a time to run.
    Both,
    /// Windows alone.
    Tokenize,
    /// Batches alone, at most so many at once.
    Run {
        /// Batches at once.
        batches: usize,
    },
}

/// What a model thread does next.
pub enum Work {
    /// Run batches of the lane.
    Batches(Lane, Vec<Batch<Row>>),
    /// Tokenize and plan these rows of the lane's jobs.
    Window(Lane, Vec<(Arc<Job>, std::ops::Range<usize>)>),
}

impl Queue {
    /// An empty queue whose windows hold so many rows, for so many threads that tokenize, and that run batches.
    pub fn new(window_rows: usize, threads: usize, runners: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), window_rows, threads, runners }
    }

    /// Adds a job to its lane, behind those of its stream; an error when the queue was closed.
    pub fn push(&self, lane: Lane, turn: Option<Turn>, job: Arc<Job>) -> Result<(), ()> {
        let mut state = self.lock();
        if state.closed {
            return Err(());
        }
        state.lane(lane).jobs.push(turn, job);
        // All, here and below: the one that wakes up might have the other role.
        self.changed.notify_all();
        Ok(())
    }

    /// Adds the batches of a window that [`Queue::next`] gave and that was planned.
    pub fn push_batches(&self, lane: Lane, batches: Vec<Batch<Row>>) {
        let mut state = self.lock();
        if state.closed {
            return; // Nobody would run them.
        }
        state.lane(lane).batches.extend(batches);
        self.changed.notify_all();
    }

    /// Gives back, at the front, batches that could not be run.
    pub fn return_batches(&self, lane: Lane, batches: Vec<Batch<Row>>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let waiting = &mut state.lane(lane).batches;
        batches.into_iter().rev().for_each(|batch| waiting.push_front(batch));
        self.changed.notify_all();
    }

    /// Waits for the next thing to do; `None` when the queue is closed.
    ///
    /// What is interactive comes before what is bulk, and a planned batch before a new window, which bounds how much is
    /// tokenized ahead.
    pub fn next(&self, role: Role) -> Option<Work> {
        let mut state = self.lock();
        while !state.closed {
            let work = self.take(&mut state, Lane::Interactive, role);
            if let Some(work) = work.or_else(|| self.take(&mut state, Lane::Bulk, role)) {
                return Some(work);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// What is interactive and waits, for a thread that has bulk in its hands.
    pub fn next_interactive(&self, role: Role) -> Option<Work> {
        self.take(&mut self.lock(), Lane::Interactive, role)
    }

    fn take(&self, state: &mut State, lane: Lane, role: Role) -> Option<Work> {
        let at_once = match role {
            Role::Both => 1,
            Role::Tokenize => 0,
            Role::Run { batches } => batches,
        };
        let batches = state.lane(lane).take_batches(at_once, self.runners);
        if !batches.is_empty() {
            // Those who tokenize may have waited for room.
            self.changed.notify_all();
            return Some(Work::Batches(lane, batches));
        }
        let waiting = state.lane(lane);
        if matches!(role, Role::Run { .. }) || waiting.planned_rows() >= PLANNED_WINDOWS * self.window_rows {
            return None;
        }
        // Few rows are shared out, so that no thread waits while another tokenizes for it.
        let share = waiting.rows().div_ceil(self.threads).max(LEAST_WINDOW);
        let window = waiting.jobs.window(share.min(self.window_rows));
        if window.is_empty() {
            return None;
        }
        if !state.lane(lane).jobs.is_empty() {
            self.changed.notify_all();
        }
        Some(Work::Window(lane, window))
    }

    /// Takes no more jobs, and drops all that wait, unanswered.
    pub fn close(&self) {
        let dropped = std::mem::replace(&mut *self.lock(), State { closed: true, ..State::default() });
        self.changed.notify_all();
        drop(dropped);
    }

    /// What waits, in each lane.
    pub fn depth(&self) -> ByLane<QueueDepth> {
        let State { interactive, bulk, .. } = &*self.lock();
        ByLane { interactive: interactive.depth(), bulk: bulk.depth() }
    }

    /// Distinct texts of the lane that are tokenized and wait.
    #[cfg(test)]
    pub fn planned_rows(&self, lane: Lane) -> usize {
        self.lock().lane(lane).planned_rows()
    }

    /// Rows of the lane that are not tokenized yet.
    #[cfg(test)]
    pub fn waiting_rows(&self, lane: Lane) -> usize {
        self.lock().lane(lane).rows()
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
    /// At most so many batches: not more than a fair share among `runners`, since another device may be idle, and several
    /// only while they are small, since what is interactive waits behind them.
    fn take_batches(&mut self, at_once: usize, runners: usize) -> Vec<Batch<Row>> {
        let share = at_once.min(self.batches.len().div_ceil(runners));
        let mut room = TOKENS_AT_ONCE;
        let mut taken = Vec::new();
        while taken.len() < share
            && let Some(batch) = self.batches.pop_front_if(|batch| taken.is_empty() || batch.tokens() <= room)
        {
            room = room.saturating_sub(batch.tokens());
            taken.push(batch);
        }
        taken
    }

    /// Distinct sequences in batches.
    fn planned_rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.sequences.len()).sum()
    }

    /// Rows that are not in a batch yet.
    fn rows(&self) -> usize {
        self.jobs.iter().map(|(job, next)| job.len() - next).sum()
    }

    /// What someone still waits for.
    fn depth(&self) -> QueueDepth {
        let planned = self.batches.iter().flat_map(|batch| batch.rows.iter().flatten()).map(|row| (&row.job, 1));
        let waiting = self.jobs.iter().map(|(job, next)| (job, job.len() - next));
        let mut jobs: HashMap<*const Job, Duration> = HashMap::new();
        let mut rows = 0;
        for (job, count) in planned.chain(waiting).filter(|(job, _)| job.is_wanted()) {
            rows += count;
            jobs.entry(Arc::as_ptr(job)).or_insert_with(|| job.age());
        }
        let oldest = jobs.values().max().map_or(0.0, Duration::as_secs_f64);
        QueueDepth { rows, jobs: jobs.len(), oldest }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use arrow::array::StringViewArray;
    use tokio::sync::{Semaphore, oneshot};

    use super::super::job::Clock;
    use super::super::spans::JobSpans;
    use super::*;

    /// The rows of the next windows of a queue for two threads, when one job of so many rows waits in it.
    fn windows(rows: usize, count: usize) -> Vec<usize> {
        let queue = Queue::new(1024, 2, 2);
        let texts = StringViewArray::from_iter_values(std::iter::repeat_n("text", rows));
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (reply, _answer) = oneshot::channel();
        let job = Job::new(texts, 2, reply, room, Clock::new(Instant::now(), None, JobSpans::default()));
        queue.push(Lane::Bulk, None, job).unwrap();
        let next = |_| match queue.next(Role::Both).unwrap() {
            Work::Window(_, window) => window.into_iter().map(|(_, rows)| rows.len()).sum(),
            Work::Batches(..) => unreachable!("nothing was planned"),
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
