//! The spans of a job: one of the whole, and below it one for each thing that becomes of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Span, info_span};

use super::Lane;
use crate::Error;
use crate::traces::{SPANS_OF_A_STREAM, TARGET};

/// Which jobs have spans: all, or the first of a stream. A record batch is a job for each of its text columns.
#[derive(Clone, Default)]
pub struct SpanLimit(Option<Arc<AtomicUsize>>);

impl SpanLimit {
    /// That of a stream.
    pub fn of_stream() -> Self {
        Self(Some(Arc::default()))
    }

    fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|jobs| jobs.fetch_add(1, Ordering::Relaxed) < SPANS_OF_A_STREAM)
    }
}

/// The spans of a job, if it has any.
#[derive(Debug, Default)]
pub struct JobSpans(Option<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    job: Span,
    /// What becomes of it now.
    now: Span,
    is_queued: bool,
}

impl JobSpans {
    /// Those of a job that begins to wait.
    pub fn wait(rows: usize, lane: Lane, limit: &SpanLimit) -> Self {
        if !limit.has_room() {
            return Self::default();
        }
        let lane = if lane == Lane::Bulk { "bulk" } else { "interactive" };
        let job = info_span!(
            target: TARGET, "score", textflight.rows = rows as i64, textflight.lane = lane,
            error.type = tracing::field::Empty, otel.status_code = tracing::field::Empty
        );
        if job.is_disabled() {
            return Self::default();
        }
        let now = info_span!(target: TARGET, parent: &job, "queue");
        Self(Some(Mutex::new(Open { job, now, is_queued: true })))
    }

    /// A model thread has taken rows of it.
    pub fn tokenize(&self) {
        self.with(|open| {
            if std::mem::take(&mut open.is_queued) {
                open.now = info_span!(target: TARGET, parent: &open.job, "tokenize");
            }
        });
    }

    /// The first of its rows is in a forward.
    pub fn compute(&self) {
        self.with(|open| open.now = info_span!(target: TARGET, parent: &open.job, "compute"));
    }

    /// It is answered.
    pub fn end(&self, error: Option<&Error>) {
        self.with(|open| {
            if let Some(error) = error {
                open.job.record("error.type", error.kind().name()).record("otel.status_code", "ERROR");
            }
            open.now = Span::none();
            open.job = Span::none();
        });
    }

    fn with(&self, change: impl FnOnce(&mut Open)) {
        if let Some(open) = &self.0 {
            change(&mut open.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
