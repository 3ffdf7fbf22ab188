//! How a kernel of `kernels.cu` is put into a device's stream.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr, DriverError, LaunchConfig};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage, CudaStorageSlice, WrapErr};
use candle_core::{DType, Layout, Result, bail};

use super::functions::{Function, Module, Shape};

/// The kernels in the context of each device.
static MODULES: Mutex<BTreeMap<usize, Module>> = Mutex::new(BTreeMap::new());

/// `$body` with `$slice` bound to the values of a storage, whichever of our three types they have.
macro_rules! with_slice {
    ($storage:expr, $slice:ident => $body:expr) => {
        match &$storage.slice {
            CudaStorageSlice::F32($slice) => $body,
            CudaStorageSlice::F16($slice) => $body,
            CudaStorageSlice::BF16($slice) => $body,
            CudaStorageSlice::U32($slice) => $body,
            _ => bail!("this type of values has no kernel on the GPU"),
        }
    };
}

/// Where the values of a layout begin, as the device sees it. Valid for what is put into the storage's stream while the
/// storage lives: memory is given back through the same stream.
pub fn address(storage: &CudaStorage, layout: &Layout) -> Result<u64> {
    with_slice!(storage, slice => {
        let view = slice.slice(layout.start_offset()..);
        let (address, _in_order) = view.device_ptr(slice.stream());
        Ok(address)
    })
}

pub fn dtype(storage: &CudaStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// A kernel of ours with its arguments.
pub struct Launch<'a> {
    pub device: &'a CudaDevice,
    pub name: String,
    pub config: LaunchConfig,
}

impl Launch<'_> {
    /// Puts the kernel into the device's stream.
    ///
    /// # Safety
    /// The arguments are those of the kernel in `kernels.cu`, in number, order and type, and each address has as many
    /// values behind it as the kernel reads and writes.
    pub unsafe fn run(self, arguments: &[Argument]) -> Result<()> {
        let stream = self.device.cuda_stream();
        let pointer = |argument: &Argument| match argument {
            Argument::Address(x) => (&raw const *x).cast_mut().cast::<c_void>(),
            Argument::Long(x) => (&raw const *x).cast_mut().cast(),
            Argument::Int(x) => (&raw const *x).cast_mut().cast(),
            Argument::Float(x) => (&raw const *x).cast_mut().cast(),
        };
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(pointer).collect();
        let LaunchConfig { grid_dim, block_dim, shared_mem_bytes } = self.config;
        let shape = Shape { grid: grid_dim, block: block_dim, shared: shared_mem_bytes };
        let function = self.function().w()?;
        // SAFETY: the caller's; the stream and the function are of the same device.
        unsafe { function.launch(stream.cu_stream(), shape, &mut pointers) }.w()
    }

    fn function(&self) -> std::result::Result<Function, DriverError> {
        let stream = self.device.cuda_stream();
        let context = stream.context();
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        context.bind_to_thread()?;
        let module = match modules.entry(context.ordinal()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Module::load(context)?),
        };
        module.function(&self.name)
    }
}

/// One argument of a kernel.
pub enum Argument {
    Address(u64),
    Long(i64),
    Int(i32),
    Float(f32),
}

/// A length, as a kernel takes it.
pub fn int(value: usize) -> Result<Argument> {
    match i32::try_from(value) {
        Ok(value) => Ok(Argument::Int(value)),
        Err(_) => bail!("{value} is more than a kernel takes"),
    }
}

/// A block for every so many of `count`, of `threads` threads.
pub fn grid(count: usize, each: usize, threads: u32, shared_bytes: usize) -> Result<LaunchConfig> {
    let blocks = match i32::try_from(count.div_ceil(each)) {
        Ok(blocks) => blocks.unsigned_abs(),
        Err(_) => bail!("{count} rows or values are more than a kernel takes"),
    };
    Ok(LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: shared_bytes as u32 })
}

/// Memory for so many values of the type that `like` has, on its device. A kernel fills it.
pub fn empty(like: &CudaStorage, count: usize) -> Result<CudaStorage> {
    fn of_type<T: DeviceRepr + CudaDType>(_: &CudaSlice<T>, count: usize, device: &CudaDevice) -> Result<CudaStorage> {
        // SAFETY: whoever asks writes every value before one is read.
        let slice = unsafe { device.alloc::<T>(count.max(1)) }?;
        Ok(CudaStorage::wrap_cuda_slice(slice, device.clone()))
    }
    with_slice!(like, slice => of_type(slice, count, &like.device))
}
