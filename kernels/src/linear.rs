//! A linear layer, wherever its weights lie.

use candle_core::{Result, Tensor};

use super::cuda::GpuLinear;
use super::{Activation, PackedLinear, Place, Precision, Team};

/// `y = f(x · Wᵀ + b)` over packed tokens.
pub enum Linear {
    /// On the CPU, laid out for its kernels.
    Packed(PackedLinear),
    /// On a GPU, as PyTorch stores it.
    Gpu(GpuLinear),
}

impl Linear {
    /// Lays out a layer of `weight [out, in]` and `bias [out]`, f32 on the CPU. `reach`: see [`PackedLinear::new`].
    ///
    /// # Errors
    /// When the shapes disagree, the place has no kernel for the precision, or the device fails.
    pub fn new(
        weight: &Tensor,
        bias: &Tensor,
        reach: Option<&Tensor>,
        precision: Precision,
        place: &Place,
    ) -> Result<Self> {
        match place {
            Place::Cpu => PackedLinear::new(weight, bias, reach, precision).map(Self::Packed),
            Place::Gpu(gpu) => GpuLinear::new(weight, bias, place.dtype(precision), gpu).map(Self::Gpu),
        }
    }

    /// The same with an activation after it.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        match self {
            Self::Packed(layer) => Self::Packed(layer.with_activation(activation)),
            Self::Gpu(mut layer) => {
                layer.set_activation(activation);
                Self::Gpu(layer)
            }
        }
    }

    /// `x [rows, in]` → `[rows, out]`. A CPU shares it out among `team`.
    ///
    /// # Errors
    /// When `x` has another width, or is of another type or device than the layer.
    pub fn forward(&self, x: &Tensor, team: &Team) -> Result<Tensor> {
        match self {
            Self::Packed(layer) => layer.forward(x, team),
            Self::Gpu(layer) => layer.forward(x),
        }
    }
}
