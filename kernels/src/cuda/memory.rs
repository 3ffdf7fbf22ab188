//! Memory of a device, by its address.

use std::sync::Arc;

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError, result};

/// What every part of a buffer begins at: as cuBLASLt likes it best.
pub const ALIGNMENT: usize = 256;

/// Memory of a device. What was put into the stream before it is dropped may still use it: it is given back in its order.
pub struct Buffer {
    memory: CudaSlice<u8>,
    address: u64,
}

impl Buffer {
    /// So many bytes, of which none is written yet.
    ///
    /// # Errors
    /// The driver's, here as below: when there is no memory left, or the device is lost.
    pub fn new(stream: &Arc<CudaStream>, bytes: usize) -> Result<Self, DriverError> {
        stream.context().bind_to_thread()?;
        // SAFETY: whoever launches what reads it says that it was written.
        let memory = unsafe { stream.alloc::<u8>(bytes.max(1)) }?;
        let address = memory.device_ptr(stream).0;
        Ok(Self { memory, address })
    }

    /// With these values at its beginning.
    pub fn of<T: Copy>(stream: &Arc<CudaStream>, values: &[T]) -> Result<Self, DriverError> {
        let buffer = Self::new(stream, size_of_val(values))?;
        // SAFETY: it is as long, and `values` are there until the copy is over: some devices read a host's memory themselves.
        unsafe { result::memcpy_htod_async(buffer.address, values, stream.cu_stream()) }?;
        stream.synchronize()?;
        Ok(buffer)
    }

    /// Where it begins.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.memory.len()
    }
}

/// The memory that forwards work in, one after the other: all of a stream use the same.
#[derive(Default)]
pub struct Arena {
    buffer: Option<Buffer>,
    allocations: u64,
}

/// An arena grows in steps: the memory for a few tokens more is there.
const STEP: usize = 1 << 20;

impl Arena {
    /// How often it had to grow.
    pub const fn allocations(&self) -> u64 {
        self.allocations
    }

    /// Where so many bytes are. What they held is of no meaning.
    ///
    /// # Errors
    /// The driver's, when there is no memory for them; the arena is then empty.
    pub fn get(&mut self, stream: &Arc<CudaStream>, bytes: usize) -> Result<u64, DriverError> {
        if let Some(buffer) = &self.buffer
            && buffer.bytes() >= bytes
        {
            return Ok(buffer.address());
        }
        // The old one first: there may be no room for both. Forwards before this one have it until they end.
        self.buffer = None;
        self.allocations += 1;
        let bytes = bytes.next_multiple_of(STEP);
        let buffer = match Buffer::new(stream, bytes) {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                // What the old one had may be free once they have, and lie in a part of the pool that is too small.
                stream.synchronize()?;
                give_back_freed_memory(stream.context())?;
                Buffer::new(stream, bytes)
            }
            buffer => buffer,
        };
        Ok(self.buffer.insert(buffer?).address())
    }
}

/// The pool that memory of a device comes out of; none where the driver has none.
fn pool(context: &CudaContext) -> Result<Option<sys::CUmemoryPool>, DriverError> {
    if !context.has_async_alloc() {
        return Ok(None);
    }
    let mut pool = std::ptr::null_mut();
    // SAFETY: the device is the context's own, and the driver writes the handle there.
    unsafe { sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result() }?;
    Ok(Some(pool))
}

/// The driver keeps memory that was freed for the next batch, instead of giving it back at every wait.
///
/// # Errors
/// The driver's, here as below.
pub fn keep_freed_memory(context: &CudaContext) -> Result<(), DriverError> {
    let Some(pool) = pool(context)? else { return Ok(()) };
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own, and the attribute is a u64 that the driver only reads.
    unsafe { sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast()).result() }
}

/// Gives back what the driver keeps.
pub fn give_back_freed_memory(context: &CudaContext) -> Result<(), DriverError> {
    let Some(pool) = pool(context)? else { return Ok(()) };
    // SAFETY: the pool is the device's own.
    unsafe { sys::cuMemPoolTrimTo(pool, 0).result() }
}

/// Parts of a stretch of memory, one behind the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Room for so many bytes: where it begins.
    pub const fn take(&mut self, bytes: usize) -> u64 {
        let begin = self.0;
        self.0 += bytes.next_multiple_of(ALIGNMENT) as u64;
        begin
    }
}
