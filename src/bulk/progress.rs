//! How far a run is: a bar on a terminal, a line now and then in a log, JSON for programs. What is over within two seconds is
//! not told of in lines.

mod state;
mod view;

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::ProgressDrawTarget;

use self::state::ProgressState;
use self::view::{ProgressEvent, View};

/// How a run tells on stderr how far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressKind {
    /// As a bar if it is a terminal, in lines if it is not.
    #[default]
    Auto,
    /// As a bar.
    Bar,
    /// In lines, once it takes two seconds.
    Lines,
    /// As JSON objects, one a line.
    Json,
    /// Not at all.
    None,
}

/// Where a run tells how far it is.
pub struct Progress {
    shared: Arc<Shared>,
    /// `None` where nobody is told, and once it is over.
    ticker: Mutex<Option<Ticker>>,
}

struct Shared {
    began: Instant,
    state: Mutex<ProgressState>,
    view: Mutex<View>,
}

/// The thread that tells now and then; it ends when `stop` is dropped.
struct Ticker {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&*lock(&self.shared.state)).finish()
    }
}

impl Progress {
    /// Tells nobody.
    pub fn silent() -> Self {
        Self::new(View::None)
    }

    /// Tells on stderr.
    pub fn on_stderr(kind: ProgressKind) -> Self {
        let bar = || View::bar(ProgressDrawTarget::stderr());
        Self::new(match kind {
            ProgressKind::Auto if stderr().is_terminal() => bar(),
            ProgressKind::Bar => bar(),
            ProgressKind::Auto | ProgressKind::Lines => View::Lines(Box::new(stderr())),
            ProgressKind::Json => View::Json(Box::new(stderr())),
            ProgressKind::None => View::None,
        })
    }

    /// Counts no further row, as if that were a bug.
    #[cfg(test)]
    pub(super) fn that_panics() -> Self {
        let progress = Self::silent();
        progress.state().rows = u64::MAX;
        progress
    }

    fn new(view: View) -> Self {
        let first = view.pace(true);
        let shared = Arc::new(Shared { began: Instant::now(), state: Mutex::default(), view: Mutex::new(view) });
        shared.show(ProgressEvent::Start);
        let ticker = Mutex::new(first.map(|first| Ticker::start(Arc::clone(&shared), first)));
        Self { shared, ticker }
    }

    /// More files will be scored, of so many bytes in sum; `None` if nobody knows how many.
    pub fn expect(&self, files: u64, bytes: Option<u64>) {
        let mut state = self.state();
        state.files.total += files;
        state.bytes_total += bytes.unwrap_or(0);
        state.is_endless |= bytes.is_none();
    }

    /// One of the expected files is begun. `bytes` is its part of what was expected; `None` if nobody knows how many it has.
    pub fn begin(&self, bytes: Option<u64>) -> FileProgress<'_> {
        FileProgress { progress: self, bytes, counted: Mutex::default() }
    }

    /// Something that people have to know at once.
    pub fn tell(&self, text: &str) {
        lock(&self.shared.view).tell(text);
    }

    /// The run is over: takes the bar away, so that the closing line stands alone.
    pub fn finish(&self) {
        self.end(ProgressEvent::End);
    }

    fn end(&self, event: ProgressEvent) {
        let Some(Ticker { stop, thread }) = lock(&self.ticker).take() else { return };
        drop(stop);
        // It ends at once, and a panic in it is no reason to stop.
        let _ = thread.map(JoinHandle::join);
        self.shared.show(event);
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        lock(&self.shared.state)
    }
}

/// A run that ends early leaves no bar behind on the terminal.
impl Drop for Progress {
    fn drop(&mut self) {
        self.end(ProgressEvent::Stopped);
    }
}

impl Ticker {
    fn start(shared: Arc<Shared>, first: Duration) -> Self {
        let (stop, stopped) = sync_channel(0);
        let tick = move || {
            let mut pace = Some(first);
            while let Some(pause) = pace {
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                pace = shared.show(ProgressEvent::Progress);
            }
        };
        // A run that nobody can be told of goes on.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(tick).ok();
        Self { stop, thread }
    }
}

impl Shared {
    /// Gives back how long until it is shown again.
    fn show(&self, event: ProgressEvent) -> Option<Duration> {
        let moment = lock(&self.state).at(self.began.elapsed());
        let mut view = lock(&self.view);
        view.show(event, &moment);
        view.pace(false)
    }
}

/// Counters stay right even if a thread died while it held them.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a file is. One that is dropped without a word of what became of it is still to do.
#[derive(Debug)]
pub struct FileProgress<'a> {
    progress: &'a Progress,
    /// `None` where nobody knows how many it has.
    bytes: Option<u64>,
    counted: Mutex<Counted>,
}

/// What was counted of a file.
#[derive(Debug, Default)]
struct Counted {
    /// `None` as long as they are not known.
    of_rows: Option<u64>,
    rows: u64,
    bytes: u64,
}

impl FileProgress<'_> {
    /// It is open, and has so many rows.
    pub fn expect_rows(&self, rows: u64) {
        if lock(&self.counted).of_rows.replace(rows).is_none() {
            let mut state = self.progress.state();
            state.counted_files += 1;
            state.counted_rows += rows;
        }
    }

    /// These rows are done, which were read from so many bytes; of a file whose rows are known it is their part of them that counts.
    pub fn advance(&self, rows: u64, bytes: u64) {
        let bytes = self.count(rows, self.share(rows).unwrap_or(bytes));
        let mut state = self.progress.state();
        state.rows += rows;
        state.bytes += bytes;
    }

    /// So many bytes are read again, of rows that an earlier run has done.
    pub fn pass(&self, bytes: u64) {
        let bytes = self.count(0, bytes);
        let mut state = self.progress.state();
        state.bytes += bytes;
        state.bytes_resumed += bytes;
    }

    /// An earlier run has done these rows.
    pub fn resume(&self, rows: u64) {
        let bytes = self.count(rows, self.share(rows).unwrap_or(0));
        let mut state = self.progress.state();
        state.rows += rows;
        state.resumed += rows;
        state.bytes += bytes;
        state.bytes_resumed += bytes;
    }

    /// It is scored to its end.
    pub fn done(self) {
        // What is no row of a file, as its footer, and rounding.
        let rest = self.count_rest();
        let mut state = self.progress.state();
        state.files.done += 1;
        state.bytes += rest;
    }

    /// There was nothing to do.
    pub fn skipped(self) {
        self.leave().files.skipped += 1;
    }

    /// It was given up.
    pub fn failed(self) {
        self.leave().files.failed += 1;
    }

    /// What is left of it is expected no more.
    fn leave(&self) -> MutexGuard<'_, ProgressState> {
        let rest = self.count_rest();
        let counted = lock(&self.counted);
        let mut state = self.progress.state();
        state.bytes_total = state.bytes_total.saturating_sub(rest);
        match counted.of_rows {
            Some(rows) => state.counted_rows -= rows.saturating_sub(counted.rows),
            None => state.counted_files += 1,
        }
        state
    }

    /// The part of the file's bytes that these are of its rows, if it is known how many it has.
    fn share(&self, rows: u64) -> Option<u64> {
        let of_rows = lock(&self.counted).of_rows?;
        let share = u128::from(self.bytes?) * u128::from(rows) / u128::from(of_rows.max(1));
        Some(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// How many bytes are left.
    fn count_rest(&self) -> u64 {
        self.bytes.map_or(0, |all| self.count(0, all))
    }

    /// Gives back how many bytes that are: no more than there are left.
    fn count(&self, rows: u64, bytes: u64) -> u64 {
        let mut counted = lock(&self.counted);
        let bytes = self.bytes.map_or(bytes, |all| bytes.min(all - counted.bytes));
        counted.rows += rows;
        counted.bytes += bytes;
        bytes
    }
}

#[cfg(test)]
mod tests;
