//! What waits, in two lanes: jobs to be tokenized, and tokenized rows, of which batches form when a runner takes them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ahead::Ahead;
use super::budget::Budget;
use super::device::Device;
use super::job::{Job, Row};
use super::queue_state::QueueState;
use super::teams::shares;
use super::turns::Turn;
use super::waiting::Waiting;
use super::work::{Assistance, Role, Work};
use super::{EngineLimits, Lane, Runners};
use crate::classifier::batch::{Batch, BatchLimits};
use crate::classifier::kernels::Team;
use crate::metrics::{ByLane, QueueDepth};

/// Batches of which a core's next one is chosen, of like lengths: among more, rare lengths, and what came with them, would wait longer.
const CHOICE: usize = 4;

/// The queue that all model threads take from.
pub struct Queue {
    state: Mutex<QueueState>,
    /// Where those wait that tokenize, whatever else they do.
    tokenizers: Condvar,
    /// How often there was something new to do for those who would wait there, and assist instead.
    news: AtomicUsize,
    /// Where those wait that only run batches.
    runners: Condvar,
    budget: Arc<Budget>,
    ahead: Ahead,
    runners_are: Runners,
    /// Batches that can be run at once: one a core, or a device.
    at_once: usize,
}

impl Queue {
    /// An empty queue for the model threads over so many scorers.
    pub fn new(budget: Arc<Budget>, limits: &EngineLimits, scorers: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                devices: (0..scorers).map(|_| Device::default()).collect(),
                ..QueueState::default()
            }),
            tokenizers: Condvar::new(),
            news: AtomicUsize::new(0),
            runners: Condvar::new(),
            budget,
            ahead: Ahead::new(limits, scorers),
            runners_are: limits.runners,
            at_once: limits.at_once(scorers),
        }
    }

    /// Adds a job to its lane, behind those of its stream; an error when the queue was closed.
    pub fn push(&self, lane: Lane, turn: Option<Turn>, job: Arc<Job>) -> Result<(), ()> {
        let mut state = self.lock();
        if state.closed {
            return Err(());
        }
        if lane == Lane::Interactive {
            state.requested = Some(Instant::now());
        }
        state.lane(lane).jobs.push(turn, job);
        // One, here and below: who takes a part of what there is wakes the next.
        self.wake_one();
        Ok(())
    }

    /// Adds the rows of a window that [`Queue::next`] gave, tokenized.
    pub fn push_rows(&self, lane: Lane, rows: Vec<(Vec<u32>, Row)>) {
        let mut state = self.lock();
        if state.closed {
            return; // Nobody would run them.
        }
        let pool = &mut state.lane(lane).pool;
        for (sequence, row) in rows {
            pool.push(sequence, row);
        }
        self.wake_runners();
    }

    /// Gives back, before all that waits, a batch that could not be run, in smaller ones.
    pub fn return_batches(&self, lane: Lane, batches: Vec<Batch<Row>>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let returned = &mut state.lane(lane).returned;
        batches.into_iter().rev().for_each(|batch| returned.push_front(batch));
        self.wake_runners();
    }

    /// A batch of so many tokens that the queue gave to this thread has been computed. Says how long its device was at it, where
    /// the thread itself has taken `time`.
    pub fn computed(&self, role: Role, tokens: usize, time: Duration) -> Duration {
        let Role::Run { device } = role else { return time };
        let time = self.lock().devices[device].end(tokens, Instant::now());
        self.runners.notify_all();
        time
    }

    /// Waits for the next thing to do; `None` when the queue is closed. What is interactive comes before what is bulk.
    pub fn next(&self, role: Role) -> Option<Work> {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            let work = self.take(&mut state, Lane::Interactive, role, now);
            if let Some(work) = work.or_else(|| self.take(&mut state, Lane::Bulk, role, now)) {
                return Some(work);
            }
            let team = if role == Role::Both { state.teams.next() } else { None };
            if let Some(team) = team {
                return Some(Work::Assist(Assistance { team, news: self.news.load(Ordering::Relaxed) }));
            }
            state = self.wait(state, role, now);
        }
        None
    }

    /// Waits for something to change; beside a device that computes, no longer than until the next batch may be put behind that.
    fn wait<'a>(&self, mut state: MutexGuard<'a, QueueState>, role: Role, now: Instant) -> MutexGuard<'a, QueueState> {
        let Role::Run { device } = role else {
            let idle = usize::from(role == Role::Both);
            state.idle_cores += idle;
            state = self.tokenizers.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_cores -= idle;
            return state;
        };
        let early = state.devices[device].left(self.budget.pace(), now).saturating_sub(self.budget.lead());
        if early.is_zero() {
            return self.runners.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.runners.wait_timeout(state, early).unwrap_or_else(PoisonError::into_inner).0
    }

    /// What is interactive and waits, for a thread that has bulk in its hands. One that has a device waits for its batch.
    pub fn next_interactive(&self, role: Role) -> Option<Work> {
        match role {
            Role::Run { .. } => None,
            Role::Both | Role::Tokenize => self.take(&mut self.lock(), Lane::Interactive, role, Instant::now()),
        }
    }

    /// The team of a forward of the lane that a thread is about to run. Threads that have nothing else to do assist.
    pub fn open_team(&self, lane: Lane, role: Role) -> Team {
        if role != Role::Both || self.at_once == 1 {
            return Team::alone();
        }
        let (team, handle) = Team::open();
        self.lock().teams.add(lane, handle);
        match lane {
            // Who assists in a table's forward may do better here.
            Lane::Interactive => self.wake_all(),
            Lane::Bulk => self.tokenizers.notify_all(),
        }
        team
    }

    /// Assists until the forward is over, or there is something new.
    pub fn assist(&self, assistance: &Assistance) {
        assistance.team.assist(|| self.news.load(Ordering::Relaxed) != assistance.news);
    }

    /// Has one who waits look for work, and all who assist.
    fn wake_one(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
        self.tokenizers.notify_one();
    }

    /// Has all look for work who wait for what there is to tokenize, or assist.
    fn wake_all(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
        self.tokenizers.notify_all();
    }

    fn wake_runners(&self) {
        match self.runners_are {
            Runners::Tokenizers => self.wake_one(),
            Runners::Own(_) => self.runners.notify_all(),
        }
    }

    /// A window first, as long as little is tokenized ahead: batches of many rows are of like lengths, and equal rows one.
    fn take(&self, state: &mut QueueState, lane: Lane, role: Role, now: Instant) -> Option<Work> {
        loop {
            let window = if matches!(role, Role::Run { .. }) { None } else { self.window(state.lane(lane), lane) };
            let before = state.lane(lane).pool.all();
            let work = window.or_else(|| self.batch(state, lane, role, now));
            let waiting = state.lane(lane);
            let has_room = waiting.pool.all() != before;
            if has_room && !(waiting.jobs.is_empty() && waiting.pool.is_empty()) {
                self.wake_one();
            }
            // Where nobody wanted any of what was tokenized, there is nothing, and room.
            if work.is_some() || !has_room {
                return work;
            }
        }
    }

    fn window(&self, waiting: &mut Waiting, lane: Lane) -> Option<Work> {
        if self.ahead.has_enough(&waiting.pool, lane, self.budget.limits()) {
            return None;
        }
        let window = waiting.jobs.window(self.ahead.window_rows(lane), self.budget.turn());
        if !waiting.jobs.is_empty() {
            self.wake_one();
        }
        if window.is_empty() { None } else { Some(Work::Window(lane, window)) }
    }

    fn batch(&self, state: &mut QueueState, lane: Lane, role: Role, now: Instant) -> Option<Work> {
        let limits = self.budget.limits();
        let batch = match role {
            Role::Tokenize => return None,
            // Other cores that are idle take theirs, or assist.
            Role::Both => {
                let among = BatchLimits { rows: CHOICE.saturating_mul(limits.rows), tokens: usize::MAX };
                let shares = shares(state.lane(lane).pool.distinct().tokens, 1 + state.idle_cores, self.at_once);
                state.lane(lane).take(limits, among, shares)?
            }
            Role::Run { device } => {
                let (idle, is_behind) = (state.idle_devices(), !state.devices[device].is_idle());
                let may_follow =
                    state.may_follow(lane) && state.devices[device].left(self.budget.pace(), now) <= self.budget.lead();
                if is_behind && !(may_follow && state.lane(lane).pool.distinct().wholes(limits) > idle) {
                    return None;
                }
                let batch = state.lane(lane).take(limits, limits.half_more(), idle.max(1))?;
                state.devices[device].begin(batch.tokens(), now);
                batch
            }
        };
        Some(Work::Batch(lane, batch))
    }

    /// Takes no more jobs, and drops all that wait, unanswered.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = (std::mem::take(&mut state.interactive), std::mem::take(&mut state.bulk));
        drop(state);
        self.wake_all();
        self.runners.notify_all();
        drop(dropped);
    }

    /// How large batches may be, and how fast they are.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What waits, in each lane.
    pub fn depth(&self) -> ByLane<QueueDepth> {
        let QueueState { interactive, bulk, .. } = &*self.lock();
        ByLane { interactive: interactive.depth(), bulk: bulk.depth() }
    }

    /// Rows of the lane that are tokenized and wait, and that are not tokenized yet.
    #[cfg(test)]
    pub fn rows(&self, lane: Lane) -> (usize, usize) {
        let mut state = self.lock();
        let waiting = state.lane(lane);
        (waiting.pool.all().rows, waiting.jobs.iter().map(|(job, next)| job.len() - next).sum())
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
