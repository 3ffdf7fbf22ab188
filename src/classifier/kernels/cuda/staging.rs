//! Pinned memory on the host's side of every copy, so that copies run beside the processor and are used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::cudarc::driver::result::memcpy_dtoh_async;
use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, DevicePtr, DeviceRepr, PinnedHostSlice, ValidAsZeroBits};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{Result, Storage, Tensor, bail};

/// Buffers that no copy needs for now.
pub struct Staging {
    device: CudaDevice,
    up: Mutex<Vec<PinnedHostSlice<u32>>>,
    down: Mutex<Vec<PinnedHostSlice<f32>>>,
}

/// The least values of a buffer: what a batch of 32 short rows needs.
const LEAST: usize = 1024;

/// Written by the processor alone, so that it need not be cached. What is read is.
const WRITE_COMBINED: u32 = candle_core::cuda_backend::cudarc::driver::sys::CU_MEMHOSTALLOC_WRITECOMBINED;
const CACHED: u32 = 0;

impl Staging {
    /// No buffers yet.
    pub fn new(device: CudaDevice) -> Self {
        Self { device, up: Mutex::default(), down: Mutex::default() }
    }

    /// `values` on the device. Returns when the copy has its place in the stream, not when it is done.
    pub fn upload(&self, values: &[u32]) -> Result<Tensor> {
        let mut buffer = self.take(&self.up, values.len(), WRITE_COMBINED)?;
        // Waits for the last copy out of this buffer.
        buffer.as_mut_slice().w()?[..values.len()].copy_from_slice(values);
        let stream = self.device.cuda_stream();
        // SAFETY: the copy fills it, whole, before anything else in the stream reads it.
        let mut slice = unsafe { self.device.alloc::<u32>(buffer.len()) }?;
        stream.memcpy_htod(&buffer, &mut slice).w()?;
        lock(&self.up).push(buffer);
        let capacity = slice.len();
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, self.device.clone()));
        Tensor::from_storage(storage, capacity, BackpropOp::none(), false).narrow(0, 0, values.len())
    }

    /// Starts to copy a contiguous f32 tensor back.
    pub fn download(self: &Arc<Self>, values: &Tensor) -> Result<Download> {
        let count = values.elem_count();
        let mut buffer = self.take(&self.down, count, CACHED)?;
        let (storage, layout) = values.storage_and_layout();
        let (Storage::Cuda(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
            bail!("download: {layout:?} is not whole, or not on the GPU");
        };
        let slice = storage.as_cuda_slice::<f32>()?.slice(start..end);
        let stream = self.device.cuda_stream();
        let (address, _in_order) = slice.device_ptr(&stream);
        let values = &mut buffer.as_mut_slice().w()?[..count];
        // Not by the stream's own `memcpy_dtoh`, which copies as much as the buffer holds.
        // SAFETY: the tensor has `count` values there. The buffer is not freed, or used again, before `finish` has waited;
        // dropped without that, a download waits for its copy.
        unsafe { memcpy_dtoh_async(values, address, stream.cu_stream()) }.w()?;
        let done = stream.record_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC)).w()?;
        Ok(Download { buffer: Some(buffer), count, done, staging: Arc::clone(self) })
    }

    fn take<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        free: &Mutex<Vec<PinnedHostSlice<T>>>,
        count: usize,
        flags: u32,
    ) -> Result<PinnedHostSlice<T>> {
        let mut free = lock(free);
        if let Some(at) = free.iter().position(|buffer| buffer.len() >= count) {
            return Ok(free.remove(at));
        }
        drop(free);
        let stream = self.device.cuda_stream();
        // SAFETY: every value is written, here or by a copy, before it is read.
        unsafe { stream.context().alloc_pinned_with_flags(count.max(LEAST).next_power_of_two(), flags) }.w()
    }
}

/// A copy from the GPU on its way.
pub struct Download {
    /// There until it is finished or dropped.
    buffer: Option<PinnedHostSlice<f32>>,
    count: usize,
    done: CudaEvent,
    staging: Arc<Staging>,
}

impl Download {
    /// Waits for this copy alone: what others have put into the stream meanwhile goes on.
    ///
    /// # Errors
    /// When the GPU failed at this, or at anything before it.
    pub fn finish(mut self) -> Result<Vec<f32>> {
        self.done.synchronize().w()?;
        let Some(buffer) = self.buffer.take() else {
            bail!("download: it was finished before");
        };
        let values = buffer.as_slice().w()?[..self.count].to_vec();
        lock(&self.staging.down).push(buffer);
        Ok(values)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // The GPU must not write to memory that is given back. When it is lost it writes no more, and says so elsewhere.
        if self.buffer.is_some() {
            let _ = self.done.synchronize();
        }
    }
}

fn lock<T>(buffers: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    // A push or a removal is whole or did not happen.
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}
