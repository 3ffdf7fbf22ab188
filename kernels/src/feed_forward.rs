//! The feed-forward block of a layer, wherever it lies.

use candle_core::{Result, Tensor, bail};

use super::cuda::GpuLinear;
use super::{LayerNorm, Linear, PackedFeedForward, Team};

/// `LayerNorm(x + narrow(widen(x)))`
pub enum FeedForward {
    /// On the CPU: a few rows pass all of it before the next do.
    Packed(PackedFeedForward),
    /// On a GPU: one product after the other.
    Gpu {
        /// The layers, in their order.
        layers: [GpuLinear; 2],
        /// What follows the residual.
        norm: LayerNorm,
    },
}

impl FeedForward {
    /// # Errors
    /// When the layers and the norm do not fit each other, or lie in different places.
    pub fn new(widen: Linear, narrow: Linear, norm: LayerNorm) -> Result<Self> {
        match (widen, narrow) {
            (Linear::Packed(widen), Linear::Packed(narrow)) => {
                PackedFeedForward::new(widen, narrow, norm).map(Self::Packed)
            }
            (Linear::Gpu(widen), Linear::Gpu(narrow)) => Ok(Self::Gpu { layers: [widen, narrow], norm }),
            _ => bail!("feed-forward: one layer on the CPU and one on a GPU"),
        }
    }

    /// `x [rows, hidden]` → `[rows, hidden]`; `x` may be written over. A CPU shares it out among
    /// `team`.
    ///
    /// # Errors
    /// When `x` has another width, or is of another type or device than the layers.
    pub fn forward(&self, x: Tensor, team: &Team) -> Result<Tensor> {
        match self {
            Self::Packed(block) => block.forward(&x, team).map(|()| x),
            Self::Gpu { layers: [widen, narrow], norm } => {
                let y = narrow.forward(&widen.forward(&x)?)?;
                norm.add(&y, &x)?;
                Ok(y)
            }
        }
    }
}
