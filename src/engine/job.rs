//! One column of texts with one reply.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, StringViewArray};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::spans::JobSpans;
use super::timings::Timings;
use crate::classifier::{Score, Scores};
use crate::{Error, Result};

type Reply = oneshot::Sender<Result<Scores>>;

/// A job in the queue and in every batch that holds rows of it.
pub struct Job {
    texts: StringViewArray,
    open: Mutex<Option<Open>>,
    clock: Clock,
    /// Its place in the lane, given back when the last batch lets go of the job.
    _room: OwnedSemaphorePermit,
}

/// When a job came, and where its times go.
pub struct Clock {
    since: Instant,
    has_begun: AtomicBool,
    timings: Option<Arc<Timings>>,
    spans: JobSpans,
}

impl Clock {
    /// Of a job that has been waiting since then.
    pub const fn new(since: Instant, timings: Option<Arc<Timings>>, spans: JobSpans) -> Self {
        Self { since, has_begun: AtomicBool::new(false), timings, spans }
    }
}

/// What a job has until it is answered.
struct Open {
    scores: Scores,
    missing: usize,
    reply: Reply,
}

/// One row of a job on its way through a batch.
#[derive(Clone)]
pub struct Row {
    /// The job it belongs to.
    pub job: Arc<Job>,
    /// Its place there.
    pub index: usize,
    /// Token count before truncation.
    pub tokens: usize,
}

impl Job {
    /// A job that nobody has begun. At least one text is not null.
    pub fn new(
        texts: StringViewArray,
        classes: usize,
        reply: Reply,
        room: OwnedSemaphorePermit,
        clock: Clock,
    ) -> Arc<Self> {
        let missing = texts.len() - texts.null_count();
        let scores = Scores::nulls(texts.len(), classes);
        let open = Mutex::new(Some(Open { scores, missing, reply }));
        Arc::new(Self { texts, open, clock, _room: room })
    }

    /// How long it has been waiting, or did wait.
    pub fn age(&self) -> Duration {
        self.clock.since.elapsed()
    }

    /// Rows of it are tokenized from now on.
    pub fn tokenize(&self) {
        self.clock.spans.tokenize();
    }

    /// A row of it is in a forward from now on. Says of the first how long the job has waited.
    pub fn begin(&self) -> Option<Duration> {
        let Clock { has_begun, timings, spans, .. } = &self.clock;
        if has_begun.load(Ordering::Relaxed) || has_begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        spans.compute();
        let waited = self.age();
        if let Some(timings) = timings {
            timings.add_queue(waited);
        }
        Some(waited)
    }

    /// Its share of a forward, whoever still waits for it.
    pub fn charge(&self, time: Duration) {
        if let Some(timings) = &self.clock.timings {
            timings.add_compute(time);
        }
    }

    /// Rows, those without a text included.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of a row, unless it is null.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.texts.is_valid(row).then(|| self.texts.value(row))
    }

    /// Whether someone still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        self.lock().as_ref().is_some_and(|open| !open.reply.is_closed())
    }

    /// Answers with an error, unless the job has been answered.
    pub fn fail(&self, error: &Error) {
        if let Some(open) = self.lock().take() {
            self.clock.spans.end(Some(error));
            // Nobody may be waiting any more, and that is fine.
            let _ = open.reply.send(Err(error.clone()));
        }
    }

    /// Takes the score of one row; the last row answers the job.
    pub fn set(&self, row: &Row, score: &Score, truncated: bool) {
        self.settle(|open| open.scores.set(row.index, score, row.tokens, truncated));
    }

    /// Takes note that a row has no score. Its job goes on: the others have theirs.
    pub fn miss(&self, row: usize, cause: &Error) {
        self.settle(|open| open.scores.miss(row, cause.to_string()));
    }

    fn settle(&self, row: impl FnOnce(&mut Open)) {
        let mut lock = self.lock();
        let Some(open) = lock.as_mut() else { return };
        row(open);
        open.missing -= 1;
        if open.missing == 0
            && let Some(open) = lock.take()
        {
            self.clock.spans.end(None);
            let _ = open.reply.send(Ok(open.scores));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
