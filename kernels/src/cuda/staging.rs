//! Pinned memory on the host's side of every copy, so that copies run beside the processor. It is used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::{free_host, malloc_host, memcpy_dtoh_async, memcpy_htod_async};
use cudarc::driver::sys::{CU_MEMHOSTALLOC_WRITECOMBINED, CUstream};
use cudarc::driver::{CudaContext, DriverError};

use super::Gpu;
use super::event::Event;
use crate::Fault;

/// The least values of a buffer: what a batch of 32 short rows needs.
const LEAST: usize = 1024;

/// Written by the processor alone, so that it need not be cached. What is read is.
const WRITE_COMBINED: u32 = CU_MEMHOSTALLOC_WRITECOMBINED;
const CACHED: u32 = 0;

/// Pinned memory for values of 4 bytes, all of whose patterns are values.
struct Pinned<T> {
    first: *mut T,
    count: usize,
    context: Arc<CudaContext>,
}

// SAFETY: it is memory that nobody else has.
unsafe impl<T: Send> Send for Pinned<T> {}

impl<T: Copy> Pinned<T> {
    fn new(context: &Arc<CudaContext>, count: usize, flags: u32) -> Result<Self, DriverError> {
        context.bind_to_thread()?;
        let count = count.max(LEAST).next_power_of_two();
        // SAFETY: not 0 bytes.
        let first: *mut T = unsafe { malloc_host(count * size_of::<T>(), flags) }?.cast();
        // SAFETY: there is room for `count` values, for which zeros stand.
        unsafe { first.write_bytes(0, count) };
        Ok(Self { first, count, context: Arc::clone(context) })
    }

    fn values(&mut self) -> &mut [T] {
        // SAFETY: `count` values that were written, for as long as this lives; the device is done with them when its event
        // is reached, which whoever holds the slot has seen.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.count) }
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: allocated so, and the device is done with it: see `Slots::take`.
            let _ = unsafe { free_host(self.first.cast()) };
        }
    }
}

/// The host's side of one forward's two copies, and the event behind them.
struct Slot {
    up: Pinned<u32>,
    down: Pinned<f32>,
    event: Event,
}

/// Slots of one device: about as many as it has forwards at once.
pub struct Slots {
    context: Arc<CudaContext>,
    slots: Mutex<Vec<Slot>>,
}

impl Slots {
    /// None yet.
    pub fn new(context: &Arc<CudaContext>) -> Self {
        Self { context: Arc::clone(context), slots: Mutex::default() }
    }

    /// A slot that the device is done with, with room for so many values both ways.
    fn take(&self, up: usize, down: usize) -> Result<Slot, DriverError> {
        let free = {
            let mut slots = lock(&self.slots);
            let free = slots.iter().position(|slot| slot.event.is_reached() == Ok(true));
            free.map(|at| slots.swap_remove(at))
        };
        let mut slot = match free {
            Some(slot) => slot,
            None => Slot {
                up: Pinned::new(&self.context, up, WRITE_COMBINED)?,
                down: Pinned::new(&self.context, down, CACHED)?,
                event: Event::new(&self.context)?,
            },
        };
        if slot.up.count < up {
            slot.up = Pinned::new(&self.context, up, WRITE_COMBINED)?;
        }
        if slot.down.count < down {
            slot.down = Pinned::new(&self.context, down, CACHED)?;
        }
        Ok(slot)
    }

    fn give(&self, slot: Slot) {
        lock(&self.slots).push(slot);
    }
}

/// A forward's copies on their way.
pub struct Transfer {
    slot: Option<Slot>,
    gpu: Arc<Gpu>,
}

impl Transfer {
    /// Puts the copy of some parts, `up` values in sum, to the address into the stream. `down` values will come back.
    ///
    /// # Safety
    /// There is room for the values at the address, and all that reads them is put into the same stream.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn upload<'a>(
        gpu: &Arc<Gpu>,
        parts: impl Iterator<Item = &'a [u32]>,
        address: u64,
        [up, down]: [usize; 2],
    ) -> Result<Self, DriverError> {
        let mut transfer = Self { slot: Some(gpu.slots().take(up, down)?), gpu: Arc::clone(gpu) };
        if let Some(slot) = &mut transfer.slot {
            let values = &mut slot.up.values()[..up];
            let mut rest = &mut *values;
            for part in parts {
                let (these, others) = rest.split_at_mut(part.len());
                these.copy_from_slice(part);
                rest = others;
            }
            // SAFETY: the caller's; the slot is neither written nor freed before its event says that the copy is done.
            unsafe { memcpy_htod_async(address, values, gpu.stream()) }?;
            slot.event.record(gpu.stream())?;
        }
        Ok(transfer)
    }

    /// Puts the copy of `count` values from the address behind all that the stream has.
    ///
    /// # Safety
    /// So many f32 are at the address once the stream is there.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn download(mut self, address: u64, count: usize) -> Result<Download, DriverError> {
        let stream: CUstream = self.gpu.stream();
        if let Some(slot) = &mut self.slot {
            // SAFETY: as for the upload.
            unsafe { memcpy_dtoh_async(&mut slot.down.values()[..count], address, stream) }?;
            slot.event.record(stream)?;
        }
        Ok(Download { transfer: self, count })
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // The device may not be done with it: it is asked before the slot is used again.
        if let Some(slot) = self.slot.take() {
            self.gpu.slots().give(slot);
        }
    }
}

/// Logits on their way back from a GPU.
pub struct Download {
    transfer: Transfer,
    count: usize,
}

impl Download {
    /// Waits for this forward alone: what others have put into the stream meanwhile goes on.
    ///
    /// # Errors
    /// When the GPU failed at this, or at anything before it, or hangs.
    pub fn finish(mut self) -> Result<Vec<f32>, Fault> {
        let gpu = &self.transfer.gpu;
        let Some(slot) = &mut self.transfer.slot else { return Ok(Vec::new()) };
        gpu.enter();
        gpu.watch().wait(&slot.event).map_err(|trouble| gpu.fault(&trouble, "a forward"))?;
        Ok(slot.down.values()[..self.count].to_vec())
    }
}

fn lock<T>(slots: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    // A push or a removal is whole or did not happen.
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}
