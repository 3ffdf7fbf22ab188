//! What goes wrong inside of this module. What it means to others [`super::Gpu::fault`] says.

use std::time::Duration;

use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::sys::cublasStatus_t;
use cudarc::driver::{DriverError, sys::CUresult};

use crate::cause;

/// What goes wrong.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{}", driver_text(*.0))]
    Driver(DriverError),
    #[error("cuBLASLt: {0}")]
    Product(CublasError),
    /// What was asked for is wrong, or cannot be had.
    #[error("{0}")]
    Refused(String),
    #[error("nothing that was waited for has ended for {} s, it hangs", .0.as_secs())]
    Hangs(Duration),
}

impl Trouble {
    /// Whether less at once may pass.
    pub const fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Driver(error) => matches!(error.0, CUresult::CUDA_ERROR_OUT_OF_MEMORY),
            // Kernels of a library are loaded when they are first used, which takes memory as well.
            Self::Product(error) => matches!(error.0, cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED),
            Self::Refused(_) | Self::Hangs(_) => false,
        }
    }
}

impl From<DriverError> for Trouble {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<CublasError> for Trouble {
    fn from(error: CublasError) -> Self {
        Self::Product(error)
    }
}

/// Of tensors on the CPU, before they are laid out.
impl From<candle_core::Error> for Trouble {
    fn from(error: candle_core::Error) -> Self {
        Self::Refused(cause(&error))
    }
}

/// The driver's sentence with the name of the error.
pub fn driver_text(error: DriverError) -> String {
    let text = error.error_string().ok().and_then(|text| text.to_str().ok()).unwrap_or("no text");
    format!("{text} ({:?})", error.0)
}
