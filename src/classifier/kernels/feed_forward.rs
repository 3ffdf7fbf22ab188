//! The feed-forward block of a layer, wherever it lies.

use candle_core::{Result, Tensor};

use super::{Linear, PackedFeedForward};

/// Two linear layers, the second on the outputs of the first.
#[cfg_attr(feature = "cuda", expect(clippy::large_enum_variant, reason = "a model has one a layer"))]
pub enum FeedForward {
    /// On the CPU: a few rows pass both layers before the next do.
    Packed(PackedFeedForward),
    /// On a GPU: one product after the other.
    #[cfg(feature = "cuda")]
    Gpu([super::cuda::GpuLinear; 2]),
}

impl FeedForward {
    /// # Errors
    /// When the one layer's outputs are not the other's inputs, or lie elsewhere.
    pub fn new(widen: Linear, narrow: Linear) -> Result<Self> {
        match (widen, narrow) {
            (Linear::Packed(widen), Linear::Packed(narrow)) => PackedFeedForward::new(widen, narrow).map(Self::Packed),
            #[cfg(feature = "cuda")]
            (Linear::Gpu(widen), Linear::Gpu(narrow)) => Ok(Self::Gpu([widen, narrow])),
            #[cfg(feature = "cuda")]
            _ => candle_core::bail!("feed-forward: one layer on the CPU and one on a GPU"),
        }
    }

    /// `x [rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// When `x` has another width, or is of another type or device than the layers.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed(layers) => layers.forward(x),
            #[cfg(feature = "cuda")]
            Self::Gpu([widen, narrow]) => narrow.forward(&widen.forward(x)?),
        }
    }
}
