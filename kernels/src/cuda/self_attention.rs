//! The attention of a layer on a GPU.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::{Gpu, GpuLinear};
use crate::{AttentionWeights, LayerNorm, Ragged, attention};

/// Self-attention with its projections, the residual and the LayerNorm after it.
pub struct GpuAttention {
    /// `[hidden] → [3 · hidden]`: queries, keys and values in one product.
    all: GpuLinear,
    /// `[hidden] → [hidden]`, the first of them, and
    query: GpuLinear,
    /// `[hidden] → [2 · hidden]`, the others, for queries of some rows alone. They share the weights.
    key_value: GpuLinear,
    output: GpuLinear,
    norm: LayerNorm,
    heads: usize,
    gpu: Arc<Gpu>,
}

impl GpuAttention {
    /// Takes the layers to the GPU, in type `dtype`.
    ///
    /// # Errors
    /// When the shapes disagree, or the GPU fails.
    pub fn new(
        weights: &AttentionWeights,
        norm: LayerNorm,
        heads: usize,
        dtype: DType,
        gpu: &Arc<Gpu>,
    ) -> Result<Self> {
        let layer = |layers| -> Result<GpuLinear> {
            let (weight, bias) = weights.joined(layers)?;
            GpuLinear::new(&weight, &bias, dtype, gpu)
        };
        let (all, hidden) = (layer(0..3)?, norm.width());
        Ok(Self {
            query: all.outputs(0..hidden)?,
            key_value: all.outputs(hidden..3 * hidden)?,
            all,
            output: layer(3..4)?,
            norm,
            heads,
            gpu: Arc::clone(gpu),
        })
    }

    /// `x [rows, hidden]` → `[rows, hidden]`
    ///
    /// # Errors
    /// When `x` is of another shape or type, or the GPU fails.
    pub fn forward(&self, x: &Tensor, sequences: &Ragged) -> Result<Tensor> {
        let all = self.all.forward(x)?;
        let hidden = self.norm.width();
        let (query, key_value) = (all.narrow(1, 0, hidden)?, all.narrow(1, hidden, 2 * hidden)?);
        self.finish(x, attention(&query, &key_value, sequences, sequences, self.heads)?)
    }

    /// What row `i` of `asking [sequences, hidden]` sees of sequence `i` of `x`: `[sequences, hidden]`
    ///
    /// # Errors
    /// As for [`GpuAttention::forward`].
    pub fn forward_rows(&self, asking: &Tensor, x: &Tensor, sequences: &Ragged) -> Result<Tensor> {
        let rows = Ragged::singles(sequences.len()).on(&self.gpu)?;
        let (query, key_value) = (self.query.forward(asking)?, self.key_value.forward(x)?);
        self.finish(asking, attention(&query, &key_value, &rows, sequences, self.heads)?)
    }

    fn finish(&self, residual: &Tensor, context: Tensor) -> Result<Tensor> {
        let y = self.output.forward(&context)?;
        self.norm.add(&y, residual)?;
        Ok(y)
    }
}
