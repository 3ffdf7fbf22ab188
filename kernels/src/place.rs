//! Where a model lies.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

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
    /// As candle knows it.
    pub fn device(&self) -> &Device {
        match self {
            Self::Cpu => &Device::Cpu,
            Self::Gpu(gpu) => gpu.device(),
        }
    }

    /// `cpu`, `cuda:0`
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Gpu(gpu) => format!("cuda:{}", gpu.index()),
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

    /// What activations are kept in between layers that multiply in `precision`.
    pub const fn dtype(&self, precision: Precision) -> DType {
        match (self, precision) {
            (Self::Gpu(_), Precision::Float16) => DType::F16,
            (Self::Gpu(_), Precision::Bfloat16) => DType::BF16,
            // On the CPU layers round their input as they read it.
            _ => DType::F32,
        }
    }

    /// In what the head multiplies where the layers do in `precision`.
    pub const fn head_precision(&self, precision: Precision) -> Precision {
        match self {
            Self::Cpu => precision,
            Self::Gpu(_) => Precision::Float32,
        }
    }

    /// Numbers that a forward reads, where it reads them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn upload(&self, values: &[u32]) -> Result<Tensor> {
        match self {
            Self::Cpu => Tensor::new(values, &Device::Cpu),
            Self::Gpu(gpu) => gpu.upload(values),
        }
    }

    /// Begins to bring f32 `logits` back: on a GPU they may not be computed yet.
    ///
    /// # Errors
    /// When the device fails.
    pub fn download(&self, logits: &Tensor) -> Result<Logits> {
        match self {
            Self::Cpu => Ok(Logits::Here(logits.flatten_all()?.to_vec1()?)),
            Self::Gpu(gpu) => gpu.download(logits).map(Logits::Coming),
        }
    }

    /// Does what puts work into the device's queue, without other threads' work in between.
    pub fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let _turn = match self {
            Self::Cpu => None,
            Self::Gpu(gpu) => Some(gpu.turn()),
        };
        work()
    }

    /// Makes a GPU's context that of this thread.
    pub fn enter(&self) {
        if let Self::Gpu(gpu) = self {
            gpu.enter();
        }
    }

    /// What an error of the device means to whoever was `doing` something on it.
    pub fn fault(&self, error: &candle_core::Error, doing: &str) -> Fault {
        let cause = format!("{doing} on {} failed: {}", self.name(), cause(error));
        match self {
            Self::Cpu => Fault::Failed(cause),
            Self::Gpu(gpu) => gpu.fault(error, cause),
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
    pub fn finish(self) -> Result<Vec<f32>> {
        match self {
            Self::Here(logits) => Ok(logits),
            Self::Coming(download) => download.finish(),
        }
    }
}
