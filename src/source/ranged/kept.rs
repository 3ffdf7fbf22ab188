//! Bytes of an object that came before they are read: in memory up to a bound, beyond it in files without a name.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::object::Fetching;
use crate::store::Fault;

/// What is kept in memory of one object, in bytes.
const MEMORY: u64 = 16 << 20;

/// How large a file grows before the next is begun. Each goes away with the last range in it.
const SEGMENT: u64 = 1 << 30;

/// A range of an object, filled from front to back.
#[derive(Debug)]
pub struct KeptRange {
    range: Range<u64>,
    room: Arc<PrefetchRoom>,
    state: Mutex<State>,
    changed: Condvar,
    /// How many expect it.
    holders: AtomicUsize,
    /// Who fetches it, if it is not kept as it passes.
    fetching: OnceLock<Weak<Fetching>>,
}

#[derive(Debug)]
struct State {
    filled: u64,
    place: Place,
    failed: Option<Fault>,
}

#[derive(Debug)]
enum Place {
    /// With none as long as nothing has come.
    Memory(Vec<u8>, #[expect(dead_code, reason = "given back when it is dropped")] Option<Share>),
    File(Arc<Segment>, u64),
}

/// Where ranges of one object are kept.
#[derive(Debug, Default)]
pub struct PrefetchRoom {
    /// Bytes that are kept in memory.
    used: AtomicU64,
    segment: Mutex<Option<Arc<Segment>>>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    len: AtomicU64,
}

/// A part of the memory, given back when it is dropped.
#[derive(Debug)]
struct Share(Arc<PrefetchRoom>, u64);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.used.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl PrefetchRoom {
    /// Room for a range of so many bytes, in memory if it is there.
    fn place(self: &Arc<Self>, len: u64) -> Result<Place, Fault> {
        let fits = |used: u64| used.checked_add(len).filter(|sum| *sum <= MEMORY);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok() {
            return Ok(Place::Memory(Vec::new(), Some(Share(Arc::clone(self), len))));
        }
        let mut segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match segment.take().filter(|segment| segment.len.load(Ordering::Relaxed) < SEGMENT) {
            Some(open) => open,
            None => {
                let file = tempfile::tempfile().map_err(unwritten)?;
                Arc::new(Segment { file, len: AtomicU64::new(0) })
            }
        };
        let start = open.len.fetch_add(len, Ordering::Relaxed);
        *segment = Some(Arc::clone(&open));
        Ok(Place::File(open, start))
    }
}

fn unwritten(cause: std::io::Error) -> Fault {
    let folder = std::env::temp_dir();
    Fault::local(format!(
        "no room in {} for what was fetched: {cause}; name another folder with TMPDIR",
        folder.display()
    ))
}

impl KeptRange {
    /// A range of which nothing has come. It takes up room from its first byte on.
    pub fn new(room: &Arc<PrefetchRoom>, range: Range<u64>) -> Self {
        let state = Mutex::new(State { filled: 0, place: Place::Memory(Vec::new(), None), failed: None });
        let (changed, holders, fetching) = (Condvar::new(), AtomicUsize::new(0), OnceLock::new());
        Self { range, room: Arc::clone(room), state, changed, holders, fetching }
    }

    /// Who fetches it from now on.
    pub fn is_fetched_by(&self, fetching: &Arc<Fetching>) {
        // It is fetched once: what failed is fetched as another range.
        let _ = self.fetching.set(Arc::downgrade(fetching));
    }

    /// Which bytes it has, once it has them.
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// One more expects it, for whom it goes on to be fetched while that is held.
    pub fn hold(&self) -> Option<Arc<Fetching>> {
        self.holders.fetch_add(1, Ordering::Relaxed);
        self.fetching.get().and_then(Weak::upgrade)
    }

    /// One fewer expects it. Whether that was the last.
    pub fn let_go(&self) -> bool {
        self.holders.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The next bytes have come. Blocks where they are written to a disk.
    ///
    /// # Errors
    /// Why they cannot be kept.
    pub fn append(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut state = self.lock();
        let kept = self.put(&mut state, bytes);
        match &kept {
            Ok(()) => state.filled += bytes.len() as u64,
            Err(fault) => state.failed = Some(fault.clone()),
        }
        self.changed.notify_all();
        state.failed.clone().map_or(Ok(()), Err)
    }

    fn put(&self, state: &mut State, bytes: &[u8]) -> Result<(), Fault> {
        let len = self.range.end - self.range.start;
        if state.filled == 0 {
            state.place = self.room.place(len)?;
        }
        match &mut state.place {
            Place::Memory(kept, _) => {
                kept.reserve_exact(len as usize - kept.len());
                kept.extend_from_slice(bytes);
                Ok(())
            }
            Place::File(segment, start) => write_all_at(&segment.file, bytes, *start + state.filled).map_err(unwritten),
        }
    }

    /// No more bytes will come.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.lock();
        if state.filled < self.range.end - self.range.start {
            state.failed.get_or_insert(fault);
        }
        self.changed.notify_all();
    }

    /// Whether it will not come: it has failed, or nobody fetches it any more.
    pub fn is_lost(&self) -> bool {
        let state = self.lock();
        let is_there = state.filled == self.range.end - self.range.start;
        let is_fetched = self.fetching.get().is_none_or(|fetching| fetching.strong_count() > 0);
        state.failed.is_some() || !is_there && !is_fetched
    }

    /// Waits until all of it is there. Blocks.
    ///
    /// # Errors
    /// Why it never will be.
    pub fn ready(&self) -> Result<(), Fault> {
        self.wait_for(self.range.end - self.range.start).map(drop)
    }

    /// Waits for what stands at `at`, and reads what is there of it. Blocks.
    ///
    /// # Errors
    /// Why it will never be there.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<usize, Fault> {
        let from = at - self.range.start;
        let state = self.wait_for(from + 1)?;
        let len = bytes.len().min(usize::try_from(state.filled - from).unwrap_or(usize::MAX));
        match &state.place {
            Place::Memory(kept, _) => {
                let from = from as usize;
                bytes[..len].copy_from_slice(&kept[from..from + len]);
                Ok(len)
            }
            Place::File(segment, start) => {
                let (segment, start) = (Arc::clone(segment), *start + from);
                drop(state);
                let read = super::RangedFile::read_at(&segment.file, &mut bytes[..len], start);
                read.map_err(Fault::local)
            }
        }
    }

    fn wait_for(&self, filled: u64) -> Result<MutexGuard<'_, State>, Fault> {
        let is_coming = |state: &mut State| state.filled < filled && state.failed.is_none();
        let state = self.changed.wait_while(self.lock(), is_coming).unwrap_or_else(PoisonError::into_inner);
        match &state.failed {
            Some(fault) if state.filled < filled => Err(fault.clone()),
            _ => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, at);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            done += std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], at + done as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memory_cannot_hold_lies_in_files() {
        let room = Arc::new(PrefetchRoom::default());
        let kept = |range| KeptRange::new(&room, range);
        let (unfilled, small, large) = (kept(0..MEMORY), kept(10..10 + MEMORY), kept(0..100));
        for (kept, bytes) in [(&small, &b"0123"[..]), (&large, b"0123"), (&large, b"456")] {
            kept.append(bytes).unwrap();
        }
        assert!(matches!(large.lock().place, Place::File(..)));
        let read = |kept: &KeptRange, at, len| {
            let mut bytes = vec![0; len];
            let read = kept.read_at(&mut bytes, at).unwrap();
            bytes.truncate(read);
            bytes
        };
        assert_eq!(
            (read(&small, 11, 9), read(&large, 2, 3), read(&large, 2, 9)),
            (b"123".to_vec(), b"234".to_vec(), b"23456".to_vec())
        );
        drop(small);
        unfilled.append(b"0").unwrap();
        assert!(matches!(unfilled.lock().place, Place::Memory(..)), "there is room by the time that something comes");
    }

    #[test]
    fn readers_wait_for_what_comes_and_are_told_when_it_does_not() {
        let kept = KeptRange::new(&Arc::default(), 0..8);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = [0; 4];
                kept.read_at(&mut bytes, 2).map(|len| bytes[..len].to_vec())
            });
            let ready = scope.spawn(|| kept.ready());
            kept.append(b"0123").unwrap();
            assert_eq!(reader.join().unwrap(), Ok(b"23".to_vec()));
            kept.fail(Fault::local("gone"));
            assert_eq!(ready.join().unwrap(), Err(Fault::local("gone")));
        });
        assert!(kept.read_at(&mut [0], 3).is_ok() && kept.read_at(&mut [0], 4).is_err());
    }
}
