//! Our compiled kernels in a context of a device, and how one of them is launched.

use std::ffi::{CString, c_void};

use cudarc::driver::{CudaContext, DriverError, result, sys};

/// The kernels, compiled: see `build.rs`.
const IMAGE: &Image = &Image(*include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")));

/// The driver reads its header in words of 8 bytes.
#[repr(align(16))]
struct Image([u8; include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")).len()]);

/// What the driver is given.
pub fn image() -> &'static [u8] {
    &IMAGE.0
}

/// The kernels in a context. They stay there for as long as it lives.
pub struct Module(sys::CUmodule);

// SAFETY: the driver takes a module's handle from every thread, and it is never unloaded.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads them: the code for the device's architecture, or, where there is none, what the driver compiles for it.
    ///
    /// # Errors
    /// The driver's, when it has no use for any of the code.
    pub fn load(context: &CudaContext) -> Result<Self, DriverError> {
        context.bind_to_thread()?;
        // SAFETY: a whole fatbin, by the toolkit.
        unsafe { result::module::load_data(IMAGE.0.as_ptr().cast()) }.map(Self)
    }

    /// A kernel by its name.
    ///
    /// # Errors
    /// When the code for this device has none of that name.
    pub fn function(&self, name: &str) -> Result<Function, DriverError> {
        let name = CString::new(name).map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))?;
        // SAFETY: the module is never unloaded.
        unsafe { result::module::get_function(self.0, name) }.map(Function)
    }
}

/// A kernel that can be launched in the context that it was looked up in.
#[derive(Clone, Copy)]
pub struct Function(sys::CUfunction);

// SAFETY: the driver takes a function's handle from every thread, and it is never freed.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// Blocks and threads of a launch.
#[derive(Clone, Copy)]
pub struct Shape {
    pub grid: (u32, u32, u32),
    pub block: (u32, u32, u32),
    /// Dynamic shared memory of a block, in bytes.
    pub shared: u32,
}

impl Shape {
    /// Blocks side by side, of threads side by side.
    pub const fn line(blocks: u32, threads: u32) -> Self {
        Self { grid: (blocks, 1, 1), block: (threads, 1, 1), shared: 0 }
    }
}

impl Function {
    /// Puts the kernel into a stream.
    ///
    /// # Safety
    /// The parameters point to values of the kernel's own types, in order, the addresses among them lead to as many values
    /// as the kernel reads and writes, and the stream is of the kernel's context, which is this thread's.
    pub unsafe fn launch(
        self,
        stream: sys::CUstream,
        shape: Shape,
        parameters: &mut [*mut c_void],
    ) -> Result<(), DriverError> {
        // SAFETY: the caller's.
        unsafe { result::launch_kernel(self.0, shape.grid, shape.block, shape.shared, stream, parameters) }
    }
}

/// Pointers to the parameters of a launch, which must be places: they are read before the launch returns.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        &mut [$((&raw const $value).cast_mut().cast::<std::ffi::c_void>()),*]
    };
}
pub(super) use parameters;

/// What no kernel takes.
pub const REFUSED: DriverError = DriverError(sys::CUresult::CUDA_ERROR_INVALID_VALUE);

/// A length, as a kernel takes it.
///
/// # Errors
/// When it has no 32 bits.
pub fn int(value: usize) -> Result<i32, DriverError> {
    i32::try_from(value).map_err(|_| REFUSED)
}

/// How many blocks there must be for `count`, so many each.
///
/// # Errors
/// When they are more than a grid has.
pub fn blocks(count: usize, each: usize) -> Result<u32, DriverError> {
    int(count.div_ceil(each)).map(i32::unsigned_abs)
}
