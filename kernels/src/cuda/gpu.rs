//! One GPU: opened, its one stream, and what its errors mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::cudarc::cublaslt::CudaBlasLT;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, sys};
use candle_core::cuda_backend::{CudaDevice, CudaError};
use candle_core::{Device, Tensor};
use tracing::info;

use super::libraries;
use super::staging::{Download, Staging};
use crate::{Fault, GpuFacts, cause};

/// A GPU that is ready for use. Threads may share it; who puts a forward into its stream holds [`Gpu::turn`].
pub struct Gpu {
    index: usize,
    device: Device,
    cuda: CudaDevice,
    context: Arc<CudaContext>,
    products: Arc<CudaBlasLT>,
    staging: Arc<Staging>,
    turn: Mutex<()>,
}

impl Gpu {
    /// The GPU of this number, with CUDA's libraries from `folder` or where the system has them. It is opened once, and stays
    /// open until the process ends: to close it then would race with the driver, which ends as well.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when there is no driver, no such GPU, or a library is missing.
    pub fn get(index: usize, folder: Option<&Path>) -> Result<Arc<Self>, Fault> {
        static OPEN: Mutex<BTreeMap<usize, Arc<Gpu>>> = Mutex::new(BTreeMap::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = open.get(&index) {
            return Ok(Arc::clone(gpu));
        }
        libraries::load(folder)?;
        let gpu = Arc::new(Self::open(index)?);
        info!(device = format!("cuda:{index}"), card = gpu.card(), "the GPU is open");
        open.insert(index, Arc::clone(&gpu));
        Ok(gpu)
    }

    fn open(index: usize) -> Result<Self, Fault> {
        let wrong = |why: String| Fault::Unavailable(format!("the GPU cuda:{index} cannot be used: {why}"));
        let driver = |e: DriverError| wrong(driver_text(e));
        let count = CudaContext::device_count().map_err(driver)?;
        if index >= count.unsigned_abs() as usize {
            return Err(Fault::Unavailable(format!(
                "there is no cuda:{index}: the driver finds {count} GPU(s), from cuda:0"
            )));
        }
        let device = Device::new_cuda_with_stream(index).map_err(|e| wrong(cause(&e)))?;
        let cuda = device.as_cuda_device().map_err(|e| wrong(cause(&e)))?.clone();
        // SAFETY: the events would order several streams; all work of this context goes through one.
        unsafe { cuda.disable_event_tracking() };
        let stream = cuda.cuda_stream();
        let context = Arc::clone(stream.context());
        keep_freed_memory(&context).map_err(driver)?;
        // Its workspace, of 32 MiB at most, is taken without a look at whether there is memory.
        // SAFETY: nobody reads it.
        drop(unsafe { cuda.alloc::<u8>(32 << 20) }.map_err(|_| wrong("its memory is full".to_owned()))?);
        let products = CudaBlasLT::new(stream).map_err(|e| wrong(format!("cuBLASLt: {e:?}")))?;
        let staging = Arc::new(Staging::new(cuda.clone()));
        Ok(Self { index, device, cuda, context, products: Arc::new(products), staging, turn: Mutex::new(()) })
    }

    /// Its number.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// As candle knows it.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// What the card is called.
    pub fn card(&self) -> String {
        self.context.name().unwrap_or_else(|_| "unknown".to_owned())
    }

    /// Its compute capability: (7, 5) for a T4, (9, 0) for an H100.
    ///
    /// # Errors
    /// [`Fault::Failed`] when the driver does not say.
    pub fn capability(&self) -> Result<(i32, i32), Fault> {
        self.context.compute_capability().map_err(|e| Fault::Failed(driver_text(e)))
    }

    /// What the driver says of it.
    pub fn facts(&self) -> GpuFacts {
        use sys::CUdevice_attribute_enum as Attribute;
        // What it does not know it leaves out.
        let number = |of| self.context.attribute(of).map_or(0, |value| value.unsigned_abs() as usize);
        let mut version = 0;
        // SAFETY: the driver writes one number.
        let knows = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().is_ok();
        GpuFacts {
            card: self.card(),
            capability: self.context.compute_capability().unwrap_or_default(),
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            memory: self.context.total_mem().unwrap_or_default(),
            clock_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000,
            memory_clock_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) / 1000,
            driver: if knows { format!("CUDA {}.{}", version / 1000, version % 1000 / 10) } else { String::new() },
            code: String::new(),
        }
    }

    /// Products with a bias.
    pub fn products(&self) -> Arc<CudaBlasLT> {
        Arc::clone(&self.products)
    }

    /// Makes its context that of this thread. Where that fails the GPU is lost, and the next call says so.
    pub fn enter(&self) {
        let _ = self.context.bind_to_thread();
    }

    /// The turn to put a forward into the stream, whole.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `values` on the GPU, through pinned memory.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn upload(&self, values: &[u32]) -> candle_core::Result<Tensor> {
        self.staging.upload(values)
    }

    /// Starts to copy f32 values back.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn download(&self, values: &Tensor) -> candle_core::Result<Download> {
        self.staging.download(values)
    }

    /// What an error of the GPU means: a smaller batch may do, this batch failed, or the GPU is lost.
    /// `text` says it to people.
    pub fn fault(&self, error: &candle_core::Error, text: String) -> Fault {
        if is_out_of_memory(error) {
            return Fault::OutOfMemory(text);
        }
        // An error that stays makes the context useless: everything after it fails the same way. Asked twice, since the
        // first answer may be about what had been put off.
        let stream = self.cuda.cuda_stream();
        if stream.synchronize().is_err() && stream.synchronize().is_err() {
            return Fault::Lost(format!("{text}; the GPU takes no more work in this process"));
        }
        Fault::Failed(text)
    }
}

fn is_out_of_memory(error: &candle_core::Error) -> bool {
    match error {
        candle_core::Error::Cuda(inner) => match inner.downcast_ref::<CudaError>() {
            Some(CudaError::Cuda(DriverError(status))) => *status == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY,
            Some(CudaError::Cublas(error)) => format!("{error:?}").contains("ALLOC_FAILED"),
            _ => inner.to_string().contains("ALLOC_FAILED"),
        },
        candle_core::Error::WithBacktrace { inner, .. }
        | candle_core::Error::WithPath { inner, .. }
        | candle_core::Error::Context { inner, .. } => is_out_of_memory(inner),
        _ => false,
    }
}

fn driver_text(error: DriverError) -> String {
    let text = error.error_string().ok().and_then(|text| text.to_str().ok()).unwrap_or("no text");
    format!("{text} ({:?})", error.0)
}

/// The driver keeps memory that was freed for the next batch, instead of giving it back at every wait.
fn keep_freed_memory(context: &CudaContext) -> Result<(), DriverError> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut pool = std::ptr::null_mut();
    let mut threshold = u64::MAX;
    // SAFETY: the device is the context's own, and the attribute is a u64 that the driver only reads.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result()?;
        let attribute = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast()).result()
    }
}
