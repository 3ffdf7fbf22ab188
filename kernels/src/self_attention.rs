//! The attention of a layer, wherever it lies.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::cuda::GpuAttention;
use super::{AbsorbedAttention, LayerNorm, PackedAttention, Place, Precision, Ragged, Team};

/// What a checkpoint has for it, f32 on the CPU: of queries, keys, values and outputs.
pub struct AttentionWeights {
    /// Each `[hidden, hidden]`, as PyTorch stores it.
    pub weights: [Tensor; 4],
    /// Each `[hidden]`.
    pub biases: [Tensor; 4],
}

impl AttentionWeights {
    /// # Errors
    /// When there is a layer of another shape, or the heads do not share `hidden` evenly.
    pub fn check(&self, hidden: usize, heads: usize) -> Result<()> {
        let square = self.weights.iter().all(|weight| weight.dims() == [hidden, hidden]);
        let wide = self.biases.iter().all(|bias| bias.dims() == [hidden]);
        if !square || !wide || heads == 0 || !hidden.is_multiple_of(heads) {
            bail!("attention: {heads} heads of {hidden}, layers of {:?}", self.weights.each_ref().map(Tensor::dims));
        }
        Ok(())
    }

    /// Weight and bias of some of the layers, one above the other.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub fn joined(&self, layers: Range<usize>) -> Result<(Tensor, Tensor)> {
        Ok((Tensor::cat(&self.weights[layers.clone()], 0)?, Tensor::cat(&self.biases[layers], 0)?))
    }
}

/// `LayerNorm(x + output(attention(query(x), key(x), value(x))))`
pub enum SelfAttention {
    /// On the CPU: a few sequences pass all of it before the next do.
    Packed(PackedAttention),
    /// On a GPU: one product after the other.
    Gpu(GpuAttention),
}

impl SelfAttention {
    /// Lays out the layers. `reach`, of what they read: see [`super::PackedLinear::new`].
    ///
    /// # Errors
    /// When the weights, the norm and the heads do not fit each other, the place has no kernel for the precision, or the
    /// device fails.
    pub fn new(
        weights: &AttentionWeights,
        norm: LayerNorm,
        heads: usize,
        reach: &Tensor,
        precision: Precision,
        place: &Place,
    ) -> Result<Self> {
        match place {
            Place::Cpu => PackedAttention::new(weights, norm, heads, Some(reach), precision).map(Self::Packed),
            Place::Gpu(gpu) => GpuAttention::new(weights, norm, heads, place.dtype(precision), gpu).map(Self::Gpu),
        }
    }

    /// `x [rows, hidden]` → `[rows, hidden]`; `x` may be written over. A CPU shares it out among
    /// `team`.
    ///
    /// # Errors
    /// When `x` has another shape than the layer and the sequences, or another type or device than the layer.
    pub fn forward(&self, x: Tensor, sequences: &Ragged, team: &Team) -> Result<Tensor> {
        match self {
            Self::Packed(block) => block.forward(&x, sequences, team).map(|()| x),
            Self::Gpu(block) => block.forward(&x, sequences),
        }
    }
}

/// The same for one row of each sequence alone.
pub enum RowAttention {
    /// On the CPU: no keys and values are computed.
    Absorbed(AbsorbedAttention),
    /// On a GPU.
    Gpu(GpuAttention),
}

impl RowAttention {
    /// As [`SelfAttention::new`].
    ///
    /// # Errors
    /// As there.
    pub fn new(
        weights: &AttentionWeights,
        norm: LayerNorm,
        heads: usize,
        reach: &Tensor,
        precision: Precision,
        place: &Place,
    ) -> Result<Self> {
        match place {
            Place::Cpu => AbsorbedAttention::new(weights, norm, heads, Some(reach), precision).map(Self::Absorbed),
            Place::Gpu(gpu) => GpuAttention::new(weights, norm, heads, place.dtype(precision), gpu).map(Self::Gpu),
        }
    }

    /// What row `i` of `asking [sequences, hidden]` sees of sequence `i` of `x [rows, hidden]`: `[sequences, hidden]`.
    /// `asking` may be written over.
    ///
    /// # Errors
    /// As for [`SelfAttention::forward`].
    pub fn forward(&self, asking: Tensor, x: &Tensor, sequences: &Ragged, team: &Team) -> Result<Tensor> {
        match self {
            Self::Absorbed(block) => block.forward(&asking, x, sequences, team).map(|()| asking),
            Self::Gpu(block) => block.forward_rows(&asking, x, sequences),
        }
    }
}

#[cfg(test)]
pub mod testing {
    use candle_core::Device;

    use super::*;

    pub const HIDDEN: usize = 24;

    pub fn random(shape: &[usize]) -> Result<Tensor> {
        Tensor::randn(0f32, 1f32, shape, &Device::Cpu)
    }

    pub fn norm() -> Result<LayerNorm> {
        LayerNorm::new(&random(&[HIDDEN])?, &random(&[HIDDEN])?, 1e-12, &Place::Cpu)
    }

    pub fn weights(hidden: usize) -> Result<AttentionWeights> {
        let weight = || random(&[hidden, hidden])? * 0.3;
        let weights = [weight()?, weight()?, weight()?, weight()?];
        let biases = [random(&[hidden])?, random(&[hidden])?, random(&[hidden])?, random(&[hidden])?];
        Ok(AttentionWeights { weights, biases })
    }
}
