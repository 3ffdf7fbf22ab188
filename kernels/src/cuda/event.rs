//! Places in a stream that can be asked about.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::{self, CUevent_flags, CUresult, CUstream};
use cudarc::driver::{CudaContext, DriverError, result};

/// An event of a device. Made once and recorded anew: to make one costs as much as a launch.
pub struct Event {
    raw: sys::CUevent,
    context: Arc<CudaContext>,
}

// SAFETY: the driver takes an event's handle from every thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// One that says no more than that it is reached.
    ///
    /// # Errors
    /// The driver's, here as in all below.
    pub fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        Self::with(
            context,
            CUevent_flags::CU_EVENT_DISABLE_TIMING as u32 | CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32,
        )
    }

    /// One that knows when it was reached, which holds the device up a little.
    pub fn timed(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        Self::with(context, CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32)
    }

    fn with(context: &Arc<CudaContext>, flags: u32) -> Result<Self, DriverError> {
        context.bind_to_thread()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the driver writes the handle there.
        unsafe { sys::cuEventCreate(&raw mut raw, flags).result() }?;
        Ok(Self { raw, context: Arc::clone(context) })
    }

    /// Puts it behind all that the stream, of the same context, has so far.
    pub fn record(&self, stream: CUstream) -> Result<(), DriverError> {
        // SAFETY: the event is alive, and so is the stream, which ends with the process.
        unsafe { result::event::record(self.raw, stream) }
    }

    /// Whether it is reached; one that was never recorded is.
    pub fn is_reached(&self) -> Result<bool, DriverError> {
        // SAFETY: the event is alive.
        match unsafe { result::event::query(self.raw) } {
            Ok(()) => Ok(true),
            Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// From another to this. Both are timed, and reached.
    pub fn since(&self, other: &Self) -> Result<Duration, DriverError> {
        // SAFETY: both are alive, and recorded in the one stream.
        let milliseconds = unsafe { result::event::elapsed(other.raw, self.raw) }?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1000.0))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: nobody else has it. That it is not reached makes no difference to the driver.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}
