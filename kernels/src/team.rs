//! Pieces of one forward, shared out among threads that come and go.
//!
//! A thread that runs a forward leads a team. Each stage of the forward is a number of pieces that need nothing of each other;
//! leader and members take them one at a time from a counter, and the leader goes on when all are done. So a member may join
//! or leave between any two pieces, a forward without members runs as it would alone, and what a piece computes never depends
//! on who takes it.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The thread that runs a forward, and whoever assists it.
pub struct Team {
    /// `None`: nobody can join.
    stage: Option<Arc<Stage>>,
    /// Within [`Team::each`].
    busy: Cell<bool>,
}

/// By which other threads join a team.
#[derive(Clone)]
pub struct TeamHandle(Arc<Stage>);

/// What leader and members share.
struct Stage {
    /// Pieces that nobody has taken. What stands below is the leader's to write while this and `unfinished` are 0.
    untaken: CacheLine<AtomicUsize>,
    /// Pieces that are not done.
    unfinished: CacheLine<AtomicUsize>,
    task: UnsafeCell<Task>,
    /// What a piece panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Threads that assist.
    members: AtomicUsize,
    /// Whether the forward is over.
    over: AtomicBool,
}

/// What is written by other threads than its neighbours has a line of its own.
#[repr(align(64))]
struct CacheLine<T>(T);

/// What to do with a piece: `call(work, piece)`.
#[derive(Clone, Copy)]
struct Task {
    pieces: usize,
    work: *const (),
    call: unsafe fn(*const (), usize),
}

// SAFETY: all but `task` is `Sync`. The leader alone writes `task`, while no piece is untaken or unfinished, and whoever took
// a piece alone reads it, until the piece is done. `work` points to a `Sync` closure (see `Stage::lead`).
unsafe impl Sync for Stage {}
// SAFETY: as above.
unsafe impl Send for Stage {}

impl Team {
    /// One thread that nobody can join.
    pub const fn alone() -> Self {
        Self { stage: None, busy: Cell::new(false) }
    }

    /// A team that others can join by the handle, until it is dropped.
    pub fn open() -> (Self, TeamHandle) {
        let stage = Arc::new(Stage {
            untaken: CacheLine(AtomicUsize::new(0)),
            unfinished: CacheLine(AtomicUsize::new(0)),
            task: UnsafeCell::new(Task { pieces: 0, work: std::ptr::null(), call: |_, _| () }),
            panic: Mutex::new(None),
            members: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        (Self { stage: Some(Arc::clone(&stage)), busy: Cell::new(false) }, TeamHandle(stage))
    }

    /// How many threads there are now, with the leader.
    pub fn threads(&self) -> usize {
        1 + self.stage.as_ref().map_or(0, |stage| stage.members.load(Ordering::Relaxed))
    }

    /// Does `work` with each of the pieces, and returns when all are done. A panic in one of them goes on here.
    ///
    /// # Panics
    /// When a piece does, and when called within a piece of the same team.
    pub fn each<T: Send>(&self, pieces: &mut [T], work: impl Fn(&mut T) + Sync) {
        let Some(stage) = &self.stage else { return pieces.iter_mut().for_each(work) };
        assert!(!self.busy.replace(true), "a team does one stage at a time");
        let _not_busy = NotBusy(&self.busy);
        // Alone, it does without what a shared stage costs.
        let mut rest = pieces.iter_mut();
        while stage.members.load(Ordering::Relaxed) == 0 || rest.len() <= 1 {
            let Some(piece) = rest.next() else { return };
            work(piece);
        }
        if let Some(panic) = stage.lead_each(rest.into_slice(), work) {
            resume_unwind(panic);
        }
    }
}

/// Ends a stage, by a panic too.
struct NotBusy<'a>(&'a Cell<bool>);

impl Drop for NotBusy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(stage) = &self.stage {
            stage.over.store(true, Ordering::Release);
        }
    }
}

impl TeamHandle {
    /// Takes pieces until the forward is over or `leave` says so, which is asked before each of them.
    pub fn assist(&self, leave: impl Fn() -> bool) {
        let stage = &*self.0;
        stage.members.fetch_add(1, Ordering::Relaxed);
        let mut patience = Patience::default();
        while !stage.over.load(Ordering::Acquire) && !leave() {
            if stage.take_one() {
                patience = Patience::default();
            } else {
                patience.wait();
            }
        }
        stage.members.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many threads assist now.
    pub fn members(&self) -> usize {
        self.0.members.load(Ordering::Relaxed)
    }

    /// Whether both are handles of one team.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the forward is over.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }
}

/// Pieces as other threads see them.
struct Pieces<T>(*mut T);

// SAFETY: each piece is taken by one thread, which may have it: see `Stage::lead_each`.
unsafe impl<T: Send> Sync for Pieces<T> {}

impl<T> Pieces<T> {
    const fn get(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

impl Stage {
    /// [`Stage::lead`] over what a slice holds.
    fn lead_each<T: Send>(&self, pieces: &mut [T], work: impl Fn(&mut T) + Sync) -> Option<Box<dyn Any + Send>> {
        let count = pieces.len();
        let items = Pieces(pieces.as_mut_ptr());
        // SAFETY: `lead` gives each index below `count` once, so that no other reference to the item exists, and returns
        // after the last, while `pieces` is borrowed.
        self.lead(count, &|index| work(unsafe { &mut *items.get(index) }))
    }

    /// Has `work(0..pieces)` done, each once, and gives what a piece panicked with. Only one thread at a time may lead.
    fn lead<F: Fn(usize) + Sync>(&self, pieces: usize, work: &F) -> Option<Box<dyn Any + Send>> {
        /// Calls the closure that `work` points to.
        unsafe fn call<F: Fn(usize)>(work: *const (), piece: usize) {
            // SAFETY: `lead` made `work` of a reference that outlives all pieces.
            let work = unsafe { &*work.cast::<F>() };
            work(piece);
        }
        // SAFETY: nothing is untaken or unfinished, so that nobody reads the task.
        unsafe { *self.task.get() = Task { pieces, work: std::ptr::from_ref(work).cast(), call: call::<F> } };
        self.unfinished.0.store(pieces, Ordering::Relaxed);
        self.untaken.0.store(pieces, Ordering::Release);
        while self.take_one() {}
        let mut patience = Patience::default();
        while self.unfinished.0.load(Ordering::Acquire) > 0 {
            patience.wait();
        }
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Does a piece that nobody has taken; whether there was one.
    fn take_one(&self) -> bool {
        let one_less = |untaken: usize| untaken.checked_sub(1);
        let Ok(untaken) = self.untaken.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less) else {
            return false;
        };
        // SAFETY: this piece is not finished, so that nobody writes the task; that it is this stage's follows from the order
        // of the leader's writes, which `untaken` publishes.
        let Task { pieces, work, call } = unsafe { *self.task.get() };
        // SAFETY: `work` lives until the leader has seen all pieces done.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { call(work, pieces - untaken) }));
        if let Err(panic) = done {
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            // Of several the first is told. To drop another could panic, here of all places.
            if first.is_some() {
                std::mem::forget(panic);
            } else {
                *first = Some(panic);
            }
        }
        self.unfinished.0.fetch_sub(1, Ordering::Release);
        true
    }
}

/// How long a thread waits without giving up its processor: a stage takes about as long.
const SPIN: Duration = Duration::from_micros(50);

/// How long it then gives it up to others again and again. From then on it sleeps in between: nothing comes for a while.
const YIELD: Duration = Duration::from_millis(1);

/// How long it sleeps.
const NAP: Duration = Duration::from_micros(200);

/// Waits that follow one another.
#[derive(Default)]
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    fn wait(&mut self) {
        match self.since.get_or_insert_with(Instant::now).elapsed() {
            waited if waited < SPIN => std::hint::spin_loop(),
            waited if waited < YIELD => std::thread::yield_now(),
            _ => std::thread::sleep(NAP),
        }
    }
}

/// Memory that pieces use in turn: as much of it as pieces run at once.
#[derive(Default)]
pub struct Spare<T>(Mutex<Vec<T>>);

impl<T: Default> Spare<T> {
    /// Lends some to `work`.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let spare = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = spare().pop().unwrap_or_default();
        let done = work(&mut memory);
        spare().push(memory);
        done
    }
}

#[cfg(test)]
mod tests;
