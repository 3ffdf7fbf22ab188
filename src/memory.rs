//! One budget of bytes for all that clients have the server hold: requests, what is made of them, and results that are on
//! their way out. What is to be held is reserved before it is read.
//!
//! A reservation is taken once, for a request and its result together, so that who holds one never waits for another.

mod machine;
mod pace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::machine::available;
pub use self::pace::Pace;
use crate::{Error, Result};

/// Requests up to this size, with all that is made of them, have a reserve of their own.
pub const SMALL: usize = 256 * 1024;

/// What a small request may become that takes more as it is read: a message that is unpacked is there twice.
const GROWN: usize = 2 * SMALL;

/// Bytes of one permit.
const UNIT: usize = 1024;

/// The reserve of small requests is an eighth of the whole, and never more than this.
const LARGEST_RESERVE: usize = 64 * 1024 * 1024;

/// The budget. Cheap to clone; all clones are the same one.
#[derive(Debug, Clone)]
pub struct Memory {
    small: Pool,
    large: Pool,
}

/// Bytes of the budget, given back when its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Reservation {
    memory: Memory,
    permits: Arc<Mutex<Vec<OwnedSemaphorePermit>>>,
}

/// One GiB, for those who serve without a configuration.
impl Default for Memory {
    fn default() -> Self {
        Self::new(1024 * 1024 * 1024)
    }
}

impl Memory {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        let small = (limit / 8).min(LARGEST_RESERVE);
        Self { small: Pool::new(small), large: Pool::new(limit - small) }
    }

    /// How many bytes it has.
    pub const fn limit(&self) -> usize {
        self.small.bytes + self.large.bytes
    }

    /// How many of them are reserved now.
    pub fn held(&self) -> usize {
        self.small.held() + self.large.held()
    }

    /// Refuses what would not fit if nobody held anything.
    ///
    /// # Errors
    /// [`Error::TooLarge`]
    pub fn check(&self, bytes: usize) -> Result<()> {
        self.large.check(bytes)
    }

    /// Takes so many bytes now; small requests from their reserve, as long as it lasts.
    ///
    /// # Errors
    /// [`Error::Busy`] when others hold too much, [`Error::TooLarge`] when it would not fit if nobody held anything.
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation> {
        let small = if bytes <= SMALL { self.small.take(bytes) } else { None };
        small.map_or_else(|| self.try_reserve_large(bytes), |permit| Ok(self.reservation(permit)))
    }

    /// Takes so many bytes now, and leaves the reserve of small requests alone: a part of a large request is none.
    ///
    /// # Errors
    /// As [`Memory::try_reserve`].
    pub fn try_reserve_large(&self, bytes: usize) -> Result<Reservation> {
        self.large.try_take(bytes).map(|permit| self.reservation(permit))
    }

    /// Takes so many bytes when it is this request's turn, first come, first served. The reserve of small requests is left
    /// alone: who waits is in no hurry.
    ///
    /// # Errors
    /// [`Error::TooLarge`] at once when it would not fit if nobody held anything.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.large.check(bytes)?;
        let permit = Arc::clone(&self.large.permits).acquire_many_owned(units(bytes)).await;
        Ok(self.reservation(permit.map_err(|_| self.large.busy())?))
    }

    fn reservation(&self, permit: OwnedSemaphorePermit) -> Reservation {
        Reservation { memory: self.clone(), permits: Arc::new(Mutex::new(vec![permit])) }
    }
}

impl Reservation {
    /// How much is held, in bytes.
    pub fn bytes(&self) -> usize {
        bytes_of(&self.lock())
    }

    /// A way to see whether it was given back.
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.permits))
    }

    /// Holds at least so many bytes from now on, or what it held before. Does not wait, since others may wait for that.
    ///
    /// # Errors
    /// As [`Memory::try_reserve`].
    pub fn extend_to(&self, bytes: usize) -> Result<()> {
        let large = &self.memory.large;
        large.check(bytes)?;
        let more = bytes.saturating_sub(self.bytes());
        if more > 0 && !self.grows_in_reserve(more) {
            let permit = large.try_take(more)?;
            self.lock().push(permit);
        }
        Ok(())
    }

    /// The same when there is room. Others may hold what this waits for, and wait for what this holds: whoever calls it must
    /// give up after a while.
    ///
    /// # Errors
    /// [`Error::TooLarge`] at once when it would not fit if nobody held anything.
    pub async fn grow_to(&self, bytes: usize) -> Result<()> {
        let large = &self.memory.large;
        large.check(bytes)?;
        let more = bytes.saturating_sub(self.bytes());
        if more > 0 && !self.grows_in_reserve(more) {
            let permit = Arc::clone(&large.permits).acquire_many_owned(units(more)).await;
            self.lock().push(permit.map_err(|_| large.busy())?);
        }
        Ok(())
    }

    /// Takes so much more from the reserve, if all that is held is from there, and it stays small.
    fn grows_in_reserve(&self, more: usize) -> bool {
        let mut permits = self.lock();
        let small = &self.memory.small;
        let is_small = bytes_of(&permits).saturating_add(more) <= GROWN
            && permits.iter().all(|permit| Arc::ptr_eq(permit.semaphore(), &small.permits));
        let permit = if is_small { small.take(more) } else { None };
        let is_taken = permit.is_some();
        permits.extend(permit);
        is_taken
    }

    /// Gives back what is held beyond so many bytes, for all clones.
    pub fn shrink_to(&self, bytes: usize) {
        let mut left = units(bytes) as usize;
        self.lock().retain_mut(|permit| {
            let surplus = permit.num_permits().saturating_sub(left);
            left -= permit.num_permits() - surplus;
            drop(permit.split(surplus));
            permit.num_permits() > 0
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnedSemaphorePermit>> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees whether a reservation was given back, and does not hold it.
#[derive(Debug)]
pub struct Watch(Weak<Mutex<Vec<OwnedSemaphorePermit>>>);

impl Watch {
    /// Whether nobody holds it any more.
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// How much of it is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.upgrade().map_or(0, |permits| bytes_of(&permits.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A part of the budget.
#[derive(Debug, Clone)]
struct Pool {
    bytes: usize,
    permits: Arc<Semaphore>,
}

impl Pool {
    fn new(bytes: usize) -> Self {
        Self { bytes, permits: Arc::new(Semaphore::new(bytes / UNIT)) }
    }

    fn held(&self) -> usize {
        (self.bytes / UNIT).saturating_sub(self.permits.available_permits()) * UNIT
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_many_owned(units(bytes)).ok()
    }

    fn try_take(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        self.check(bytes)?;
        self.take(bytes).ok_or_else(|| self.busy())
    }

    fn check(&self, bytes: usize) -> Result<()> {
        if bytes.div_ceil(UNIT) <= self.bytes / UNIT {
            return Ok(());
        }
        Err(Error::TooLarge(format!(
            "this takes {} of memory with its result, and all requests together may hold {}: send less at a time, or \
             raise --memory-limit",
            mebibytes(bytes),
            mebibytes(self.bytes)
        )))
    }

    fn busy(&self) -> Error {
        Error::Busy(format!(
            "at capacity: requests hold the {} that they may (--memory-limit); try again later",
            mebibytes(self.bytes)
        ))
    }
}

fn bytes_of(permits: &[OwnedSemaphorePermit]) -> usize {
    permits.iter().map(|permit| permit.num_permits() * UNIT).sum()
}

/// Permits for so many bytes.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn what_is_reserved_is_given_back() {
        let memory = Memory::new(80 * MIB);
        let held = memory.try_reserve(60 * MIB).unwrap();
        assert_eq!((held.bytes(), memory.held(), memory.limit()), (60 * MIB, 60 * MIB, 80 * MIB));
        let refused = memory.try_reserve(20 * MIB).unwrap_err();
        assert!(matches!(&refused, Error::Busy(text) if text.contains("70.0 MiB")), "{refused}");
        drop(held);
        assert_eq!(memory.held(), 0);
        memory.try_reserve(60 * MIB).unwrap();
    }

    #[test]
    fn small_requests_have_a_reserve_and_more_where_it_is_used_up() {
        let memory = Memory::new(80 * MIB);
        let _tables = memory.try_reserve(69 * MIB).unwrap();
        // Ten MiB of reserve and one that is left of the rest.
        let small: Vec<_> = (0..44).map(|_| memory.try_reserve(SMALL).unwrap()).collect();
        assert!(matches!(memory.try_reserve(SMALL), Err(Error::Busy(_))));
        assert!(matches!(memory.try_reserve(1), Err(Error::Busy(_))));
        drop(small);
        assert!(matches!(memory.try_reserve(2 * MIB), Err(Error::Busy(_))));
        // A part of a large request is no small one.
        let _rest = memory.try_reserve_large(MIB).unwrap();
        assert!(matches!(memory.try_reserve_large(1), Err(Error::Busy(_))));
        memory.try_reserve(1).unwrap();
    }

    #[test]
    fn what_never_fits_is_refused_at_once() {
        let memory = Memory::new(80 * MIB);
        let _all = memory.try_reserve(69 * MIB).unwrap();
        for bytes in [70 * MIB + 1, usize::MAX] {
            assert!(matches!(memory.try_reserve(bytes), Err(Error::TooLarge(_))));
            assert!(matches!(memory.reserve(bytes).now_or_never(), Some(Err(Error::TooLarge(_)))));
        }
        assert!(memory.reserve(69 * MIB).now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_came_first_is_served_first() {
        let memory = Memory::new(80 * MIB);
        let held = memory.try_reserve(40 * MIB).unwrap();
        let mut large = Box::pin(memory.reserve(60 * MIB));
        assert!((&mut large).now_or_never().is_none());
        // It would fit, but then the large one might wait for ever.
        let mut late = Box::pin(memory.reserve(20 * MIB));
        assert!((&mut late).now_or_never().is_none());
        assert!(memory.try_reserve(20 * MIB).is_err());
        drop(held);
        let large = large.await.unwrap();
        assert!((&mut late).now_or_never().is_none());
        drop(large);
        late.await.unwrap();
    }

    #[test]
    fn a_reservation_grows_without_waiting_or_stays_as_it_was() {
        let memory = Memory::new(80 * MIB);
        let held = memory.try_reserve(SMALL).unwrap();
        held.extend_to(30 * MIB).unwrap();
        assert_eq!(held.bytes(), 30 * MIB);
        held.extend_to(MIB).unwrap();
        assert_eq!(held.bytes(), 30 * MIB);
        let other = memory.try_reserve(39 * MIB).unwrap();
        assert!(matches!(held.extend_to(33 * MIB), Err(Error::Busy(_))));
        assert!(matches!(held.extend_to(71 * MIB), Err(Error::TooLarge(_))));
        assert_eq!(held.bytes(), 30 * MIB);
        drop((held, other));
        memory.try_reserve(70 * MIB).unwrap();
    }

    #[tokio::test]
    async fn a_small_one_grows_in_the_reserve_whoever_waits() {
        let memory = Memory::new(80 * MIB);
        let (_tables, small) = (memory.try_reserve(60 * MIB).unwrap(), memory.try_reserve(1).unwrap());
        let part = memory.try_reserve_large(1).unwrap();
        let mut large = Box::pin(memory.reserve(60 * MIB));
        assert!((&mut large).now_or_never().is_none());
        small.extend_to(SMALL).unwrap();
        small.grow_to(2 * SMALL).now_or_never().expect("nothing to wait for").unwrap();
        assert_eq!((small.bytes(), small.watch().bytes()), (2 * SMALL, 2 * SMALL));
        // What is not small any more waits, and so does a part of something large.
        for (reservation, bytes) in [(&small, 2 * SMALL + 1), (&part, SMALL)] {
            assert!(matches!(reservation.extend_to(bytes), Err(Error::Busy(_))));
            assert!(reservation.grow_to(bytes).now_or_never().is_none());
        }
        assert_eq!((small.bytes(), part.bytes()), (2 * SMALL, UNIT));
    }

    #[tokio::test]
    async fn a_reservation_grows_when_there_is_room() {
        let memory = Memory::new(80 * MIB);
        let (held, other) = (memory.try_reserve(30 * MIB).unwrap(), memory.try_reserve(30 * MIB).unwrap());
        assert!(matches!(held.grow_to(71 * MIB).now_or_never(), Some(Err(Error::TooLarge(_)))));
        held.grow_to(40 * MIB).await.unwrap();
        let mut waits = Box::pin(held.grow_to(41 * MIB));
        assert!((&mut waits).now_or_never().is_none());
        drop(other);
        waits.await.unwrap();
        assert_eq!(held.bytes(), 41 * MIB);
    }

    #[test]
    fn what_is_not_needed_any_more_is_given_back_early() {
        let memory = Memory::new(80 * MIB);
        let held = memory.try_reserve(20 * MIB).unwrap();
        held.extend_to(60 * MIB).unwrap();
        held.shrink_to(30 * MIB);
        assert_eq!(held.bytes(), 30 * MIB);
        memory.try_reserve(40 * MIB).unwrap();
        held.shrink_to(31 * MIB);
        held.shrink_to(0);
        assert_eq!(held.bytes(), 0);
        memory.try_reserve(70 * MIB).unwrap();
    }

    #[test]
    fn the_last_clone_gives_it_back() {
        let memory = Memory::new(80 * MIB);
        let held = memory.try_reserve(70 * MIB).unwrap();
        let (clone, watch) = (held.clone(), held.watch());
        drop(held);
        assert!(memory.try_reserve(MIB).is_err() && !watch.is_over());
        drop(clone);
        assert!(watch.is_over() && watch.bytes() == 0);
        memory.try_reserve(70 * MIB).unwrap();
    }
}
