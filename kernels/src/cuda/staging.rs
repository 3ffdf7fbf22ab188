//! Pinned memory on the host's side of every copy, so that copies run beside the processor. Buffers are used again.
//!
//! Each buffer has an event of its own: those of the driver's wrapper are not recorded for a context that does not track
//! events, and its copies are as long as the buffer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::cudarc::driver::result::{memcpy_dtoh_async, memcpy_htod_async};
use candle_core::cuda_backend::cudarc::driver::sys::{CU_MEMHOSTALLOC_WRITECOMBINED, CUevent_flags};
use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, PinnedHostSlice, ValidAsZeroBits,
};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{Result, Storage, Tensor, bail};

/// Pinned buffers of one device.
pub struct Staging {
    device: CudaDevice,
    up: Mutex<Vec<Pinned<u32>>>,
    down: Mutex<Vec<Pinned<f32>>>,
}

/// The least values of a buffer: what a batch of 32 short rows needs.
const LEAST: usize = 1024;

/// Written by the processor alone, so that it need not be cached. What is read is.
const WRITE_COMBINED: u32 = CU_MEMHOSTALLOC_WRITECOMBINED;
const CACHED: u32 = 0;

/// A buffer with the last copy that was asked for.
struct Pinned<T> {
    memory: PinnedHostSlice<T>,
    copy: Option<CudaEvent>,
}

impl<T> Pinned<T> {
    /// Whether the device is done with it.
    fn is_free(&self) -> bool {
        self.copy.as_ref().is_none_or(|copy| copy.try_is_complete() == Ok(true))
    }

    /// Behind the copy that was put into the stream.
    fn in_use(&mut self, stream: &CudaStream) -> Result<()> {
        // Blocking: who waits sleeps.
        self.copy = Some(stream.record_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC)).w()?);
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        self.copy.as_ref().map_or(Ok(()), |copy| copy.synchronize().w())
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // The device must not use memory that is given back. When it is lost it uses none, and says so elsewhere.
        let _ = self.wait();
    }
}

impl Staging {
    /// No buffers yet.
    pub fn new(device: CudaDevice) -> Self {
        Self { device, up: Mutex::default(), down: Mutex::default() }
    }

    /// `values` on the device. Returns when the copy has its place in the stream, not when it is done.
    pub fn upload(&self, values: &[u32]) -> Result<Tensor> {
        let mut buffer = self.take(&self.up, values.len(), WRITE_COMBINED)?;
        let pinned = &mut buffer.memory.as_mut_slice().w()?[..values.len()];
        pinned.copy_from_slice(values);
        let stream = self.device.cuda_stream();
        // SAFETY: the copy fills it before anything else in the stream reads it.
        let mut slice = unsafe { self.device.alloc::<u32>(values.len().max(1)) }?;
        {
            let (address, _in_order) = slice.device_ptr_mut(&stream);
            // SAFETY: there is room for as many values at the address, and the buffer is neither written nor freed before
            // its event says that the copy is done.
            unsafe { memcpy_htod_async(address, pinned, stream.cu_stream()) }.w()?;
        }
        buffer.in_use(&stream)?;
        lock(&self.up).push(buffer);
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, self.device.clone()));
        Ok(Tensor::from_storage(storage, values.len(), BackpropOp::none(), false))
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
        let pinned = &mut buffer.memory.as_mut_slice().w()?[..count];
        // SAFETY: the tensor has `count` values there, and the buffer is neither read nor freed before its event says that
        // the copy is done.
        unsafe { memcpy_dtoh_async(pinned, address, stream.cu_stream()) }.w()?;
        buffer.in_use(&stream)?;
        Ok(Download { buffer, count, staging: Arc::clone(self) })
    }

    /// The smallest buffer that is free and large enough, or a new one.
    fn take<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        buffers: &Mutex<Vec<Pinned<T>>>,
        count: usize,
        flags: u32,
    ) -> Result<Pinned<T>> {
        let stream = self.device.cuda_stream();
        // To ask for an event takes a context, which a thread may not have yet.
        stream.context().bind_to_thread().w()?;
        let mut buffers = lock(buffers);
        let fitting = buffers.iter().enumerate().filter(|(_, buffer)| buffer.memory.len() >= count && buffer.is_free());
        if let Some((at, _)) = fitting.min_by_key(|(_, buffer)| buffer.memory.len()) {
            return Ok(buffers.swap_remove(at));
        }
        drop(buffers);
        let length = count.max(LEAST).next_power_of_two();
        // SAFETY: every value is written, here or by a copy, before it is read.
        let memory = unsafe { stream.context().alloc_pinned_with_flags(length, flags) }.w()?;
        Ok(Pinned { memory, copy: None })
    }
}

/// A copy from the GPU on its way.
pub struct Download {
    buffer: Pinned<f32>,
    count: usize,
    staging: Arc<Staging>,
}

impl Download {
    /// Waits for this copy alone: what others have put into the stream meanwhile goes on.
    ///
    /// # Errors
    /// When the GPU failed at this, or at anything before it.
    pub fn finish(self) -> Result<Vec<f32>> {
        self.buffer.wait()?;
        let values = self.buffer.memory.as_slice().w()?[..self.count].to_vec();
        lock(&self.staging.down).push(self.buffer);
        Ok(values)
    }
}

fn lock<T>(buffers: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    // A push or a removal is whole or did not happen.
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}
