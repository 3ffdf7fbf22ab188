//! Uploads by name: on their way in, staged, and committed, which are data sets. Nobody but their client sees one before its
//! commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::datasets::{Datasets, check_name};
use crate::metrics::{UploadCounts, UploadMetrics};
use crate::source::Source;
use crate::source::staged::{StagedLimits, StagedTable};
use crate::spool::Spool;
use crate::{Error, Result};

/// What bounds uploads.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// How many there are at a time, from their first message to their end.
    pub uploads: usize,
    /// What one may be.
    pub table: StagedLimits,
    /// How long one may wait for its commit, or for a reader, once it is whole.
    pub expiry: Duration,
}

/// Those of who serves without a configuration.
impl Default for UploadLimits {
    fn default() -> Self {
        let table = StagedLimits { rows: 1_000_000, bytes: 64 * 1024 * 1024, memory_bytes: 1024 * 1024 };
        Self { uploads: 4, table, expiry: Duration::from_mins(10) }
    }
}

/// All uploads. Cheap to clone, and all clones are the same ones.
#[derive(Debug, Clone)]
pub struct StagedUploads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: UploadLimits,
    spool: Spool,
    datasets: Datasets,
    room: Arc<Semaphore>,
    names: Mutex<BTreeMap<String, Slot>>,
    metrics: UploadMetrics,
}

/// What has one name.
#[derive(Debug, Default)]
struct Slot {
    is_open: bool,
    staged: Option<Kept>,
    committed: Option<Kept>,
}

impl Slot {
    const fn is_empty(&self) -> bool {
        !self.is_open && self.staged.is_none() && self.committed.is_none()
    }
}

/// A table that came in whole.
#[derive(Debug)]
struct Kept {
    table: Arc<StagedTable>,
    _room: OwnedSemaphorePermit,
    _expiry: AbortOnDropHandle<()>,
}

impl StagedUploads {
    /// None yet. What is too much for memory goes to `spool`, what is committed to `datasets`.
    pub fn new(limits: UploadLimits, spool: Spool, datasets: Datasets) -> Self {
        let room = Arc::new(Semaphore::new(limits.uploads));
        Self {
            shared: Arc::new(Shared {
                limits,
                spool,
                datasets,
                room,
                names: Mutex::default(),
                metrics: UploadMetrics::default(),
            }),
        }
    }

    /// What bounds them.
    pub fn limits(&self) -> UploadLimits {
        self.shared.limits
    }

    /// Where they go that are too large for memory.
    pub fn spool(&self) -> &Spool {
        &self.shared.spool
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that no upload can have, [`Error::Busy`] when another upload of this name is on its way, or
    /// there are as many as may be.
    pub fn begin(&self, name: &str) -> Result<StagedUpload> {
        check_name(name)?;
        if self.shared.datasets.is_file(name) {
            return Err(Error::Invalid(format!(
                "the data set {name:?} is one of the server's files: upload by another name"
            )));
        }
        let mut names = self.shared.lock();
        if names.get(name).is_some_and(|slot| slot.is_open) {
            return Err(Error::Busy(format!(
                "another upload of {name:?} is on its way: try again later, or upload by another name"
            )));
        }
        let room = Arc::clone(&self.shared.room).try_acquire_owned().map_err(|_| {
            Error::Busy(format!(
                "at capacity: there are {} uploads (--max-uploads); drop one with the action drop, or try again later",
                self.shared.limits.uploads
            ))
        })?;
        names.entry(name.to_owned()).or_default().is_open = true;
        Ok(StagedUpload { shared: Arc::clone(&self.shared), name: name.to_owned(), room: Some(room) })
    }

    /// Makes a staged upload of so many rows a data set. One of another number of rows is dropped.
    ///
    /// # Errors
    /// [`Error::NotFound`] if none is staged, [`Error::Invalid`] for another number of rows, or where there is such a data set and
    /// it is not to be replaced.
    pub fn commit(&self, name: &str, rows: u64, replace: bool) -> Result<Arc<StagedTable>> {
        let mut names = self.shared.lock();
        let slot = names.get_mut(name).ok_or_else(|| not_staged(name, None))?;
        let Some(staged) = slot.staged.take() else { return Err(not_staged(name, Some(slot))) };
        let there = staged.table.rows();
        if there != rows {
            tidy(&mut names, name);
            return Err(Error::Invalid(format!(
                "the upload {name:?} has {there} rows, and the commit says {rows}: it was dropped; send it again"
            )));
        }
        let table = Arc::clone(&staged.table);
        let taken = slot.committed.is_some() && !replace;
        let added = if taken { Err(is_there(name)) } else { self.shared.datasets.replace(name, table.clone()) };
        if let Err(error) = added {
            slot.staged = Some(staged);
            return Err(error);
        }
        table.touch();
        slot.committed = Some(staged);
        info!(name, rows, bytes = table.bytes(), "an upload is a data set");
        Ok(table)
    }

    /// Drops what was uploaded by this name, a data set or not. What is on its way goes on.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nothing was.
    pub fn drop_named(&self, name: &str) -> Result<()> {
        let mut names = self.shared.lock();
        let slot = names.get_mut(name).filter(|slot| slot.staged.is_some() || slot.committed.is_some());
        let slot = slot.ok_or_else(|| Error::NotFound(format!("nothing was uploaded as {name:?}")))?;
        slot.staged = None;
        if slot.committed.take().is_some() {
            self.shared.datasets.remove(name);
        }
        tidy(&mut names, name);
        Ok(())
    }

    /// How many there are.
    pub fn counts(&self) -> UploadCounts {
        let names = self.shared.lock();
        let count = |is: fn(&Slot) -> bool| names.values().filter(|slot| is(slot)).count();
        UploadCounts {
            open: count(|slot| slot.is_open),
            staged: count(|slot| slot.staged.is_some()),
            committed: count(|slot| slot.committed.is_some()),
            bytes: names
                .values()
                .flat_map(|slot| [&slot.staged, &slot.committed])
                .flatten()
                .map(|kept| kept.table.bytes())
                .sum(),
        }
    }

    /// What they count.
    pub fn metrics(&self) -> &UploadMetrics {
        &self.shared.metrics
    }
}

fn not_staged(name: &str, slot: Option<&Slot>) -> Error {
    let cause = match slot {
        Some(Slot { is_open: true, .. }) => "it is still on its way: commit when DoPut has ended",
        Some(Slot { committed: Some(_), .. }) => "it was committed already",
        _ => "send it with DoPut first; what is not committed in time is dropped (--upload-expiry)",
    };
    Error::NotFound(format!("no upload {name:?} waits for its commit: {cause}"))
}

fn is_there(name: &str) -> Error {
    Error::Invalid(format!(
        "there is an upload {name:?} already: commit with \"replace\": true to put this one in its place, or drop that one first"
    ))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a table that nobody has used for long enough, if it is still there; otherwise, says how long it still has.
    fn expire(&self, name: &str, table: &Arc<StagedTable>) -> Option<Duration> {
        let mut names = self.lock();
        let left = self.limits.expiry.saturating_sub(table.unused_for());
        if !left.is_zero() {
            return Some(left);
        }
        let slot = names.get_mut(name)?;
        let is_it = |kept: &Option<Kept>| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.table, table));
        if is_it(&slot.staged) {
            slot.staged = None;
        } else if is_it(&slot.committed) {
            slot.committed = None;
            self.datasets.remove(name);
        } else {
            return None;
        }
        self.metrics.expire();
        info!(name, "an upload was dropped: nobody committed or read it for a while");
        tidy(&mut names, name);
        None
    }
}

/// Forgets a name that nothing has.
fn tidy(names: &mut BTreeMap<String, Slot>, name: &str) {
    if names.get(name).is_some_and(Slot::is_empty) {
        names.remove(name);
    }
}

/// Waits until nobody has used a table for long enough, and drops it.
async fn expiry(shared: Weak<Shared>, name: String, table: Weak<StagedTable>) {
    let expire = || shared.upgrade()?.expire(&name, &table.upgrade()?);
    while let Some(left) = expire() {
        tokio::time::sleep(left).await;
    }
}

/// An upload on its way. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct StagedUpload {
    shared: Arc<Shared>,
    name: String,
    room: Option<OwnedSemaphorePermit>,
}

impl StagedUpload {
    /// What its client calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stages what came, in place of what was staged by this name before.
    pub fn stage(mut self, table: StagedTable) {
        let Some(room) = self.room.take() else { return };
        let table = Arc::new(table);
        let expiry = expiry(Arc::downgrade(&self.shared), self.name.clone(), Arc::downgrade(&table));
        let kept = Kept { table, _room: room, _expiry: AbortOnDropHandle::new(tokio::spawn(expiry)) };
        self.shared.lock().entry(self.name.clone()).or_default().staged = Some(kept);
        self.shared.metrics.receive();
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        let mut names = self.shared.lock();
        if let Some(slot) = names.get_mut(&self.name) {
            slot.is_open = false;
        }
        tidy(&mut names, &self.name);
    }
}

#[cfg(test)]
mod tests;
