//! How a kernel of `kernels.cu` is put into a device's stream.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage, CudaStorageSlice, WrapErr};
use candle_core::{DType, Layout, Result, bail};

/// `kernels.cu`, compiled for the oldest architecture that the build was made for.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

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
        let function = self.device.get_or_load_custom_func(&self.name, "textflight", PTX)?;
        let mut builder = function.builder();
        for argument in arguments {
            match argument {
                Argument::Address(x) => builder.arg(x),
                Argument::Long(x) => builder.arg(x),
                Argument::Int(x) => builder.arg(x),
                Argument::Float(x) => builder.arg(x),
            };
        }
        // SAFETY: the caller's.
        unsafe { builder.launch(self.config) }.w().map(drop)
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
