//! What goes to stores and comes from them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is read and written.
#[derive(Debug, Default)]
pub struct StoreCounters {
    read: AtomicU64,
    written: AtomicU64,
    requests: AtomicU64,
}

/// What was counted at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of objects that came from stores.
    pub read: u64,
    /// Bytes of objects that went to stores.
    pub written: u64,
    /// Times that a store was asked for something; asked again after a failure counts once.
    pub requests: u64,
}

impl StoreCounters {
    /// What was counted so far.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic { read: read(&self.read), written: read(&self.written), requests: read(&self.requests) }
    }

    pub(super) fn add_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}
