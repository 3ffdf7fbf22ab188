//! Where a model lies.

use std::sync::Arc;

use super::cuda::{Download, Gpu};
use super::{Family, Fault, Kernel, Precision};

/// The processor, or a GPU that is open.
#[derive(Clone)]
pub enum Place {
    /// The processor.
    Cpu,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// Logits on their way to the processor's memory.
pub enum Logits {
    /// They are there.
    Here(Vec<f32>),
    /// A copy is under way.
    Coming(Download),
}

impl Place {
    /// `cpu`, `cuda:0`
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Gpu(gpu) => gpu.name(),
        }
    }

    /// What a GPU's card is called.
    pub fn card(&self) -> Option<String> {
        match self {
            Self::Cpu => None,
            Self::Gpu(gpu) => Some(gpu.card()),
        }
    }

    /// Which instructions compute layers that multiply in `precision`, or which card does.
    pub fn kernels(&self, precision: Precision) -> String {
        match self {
            Self::Cpu => {
                let product = Kernel::all(precision).first().map_or("none", Kernel::name);
                format!("{product}, {}", Family::in_use())
            }
            Self::Gpu(gpu) => gpu.card(),
        }
    }
}

/// What went wrong, without the backtrace that candle prints behind it.
pub fn cause(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl Logits {
    /// Waits for them.
    ///
    /// # Errors
    /// When the device failed at computing or copying them.
    pub fn finish(self) -> Result<Vec<f32>, Fault> {
        match self {
            Self::Here(logits) => Ok(logits),
            Self::Coming(download) => download.finish(),
        }
    }
}
