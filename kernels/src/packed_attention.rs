//! The attention of a layer on the CPU, a few sequences at a time: what lies between its products never leaves the cache.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

use super::attention::Heads;
use super::packed_linear::{PackedLinear, Scratch};
use super::{AttentionWeights, LayerNorm, Precision, Ragged, f32_slice_mut, tile};

/// Self-attention with its projections, the residual and the LayerNorm after it.
pub struct PackedAttention {
    query: PackedLinear,
    key_value: PackedLinear,
    output: PackedLinear,
    norm: LayerNorm,
    heads: usize,
}

/// Sequences go together until they have so many rows: 48 times 3 · 768 values of DistilBERT-base are 432 KiB of a core's
/// second-level cache.
const BLOCK: usize = 8 * tile::ROWS;

impl PackedAttention {
    /// Lays out the layers. `reach`, of what they read: see [`PackedLinear::new`].
    ///
    /// # Errors
    /// When the weights, the norm and the heads do not fit each other, or there is no kernel for the precision.
    pub fn new(
        weights: &AttentionWeights,
        norm: LayerNorm,
        heads: usize,
        reach: Option<&Tensor>,
        precision: Precision,
    ) -> Result<Self> {
        weights.check(norm.width(), heads)?;
        let layer = |layers, reach| {
            let (weight, bias) = weights.joined(layers)?;
            PackedLinear::new(&weight, &bias, reach, precision)
        };
        let (query, key_value, output) = (layer(0..1, reach)?, layer(1..3, reach)?, layer(3..4, None)?);
        Ok(Self { query, key_value, output, norm, heads })
    }

    /// `x ← LayerNorm(x + attention(x))`, in place.
    ///
    /// # Errors
    /// When `x` is not contiguous f32 on the CPU, `[rows, hidden]` with the rows of `sequences`.
    pub fn forward(&self, x: &Tensor, sequences: &Ragged) -> Result<()> {
        x.inplace_op1(&Run { layer: self, sequences })
    }
}

/// One pass over a batch.
struct Run<'a> {
    layer: &'a PackedAttention,
    sequences: &'a Ragged,
}

impl InplaceOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let PackedAttention { query, key_value, output, norm, heads } = self.layer;
        let hidden = norm.width();
        if layout.dims() != [self.sequences.rows(), hidden] {
            bail!("attention: {:?} in a layer of {hidden}, {} rows", layout.shape(), self.sequences.rows());
        }
        let x = f32_slice_mut(x, layout)?;
        let mut heads = Heads::new(*heads, hidden);
        let [mut q, mut kv, mut attended] = [const { Vec::new() }; 3];
        let mut scratch = Scratch::default();
        for block in self.sequences.blocks(BLOCK) {
            let rows = self.sequences.span(&block);
            let x = &mut x[rows.start * hidden..rows.end * hidden];
            q.resize(x.len(), 0.0);
            query.multiply(x, &mut q, &mut scratch);
            kv.resize(2 * x.len(), 0.0);
            key_value.multiply(x, &mut kv, &mut scratch);
            for sequence in block {
                let of_sequence = self.sequences.span(&(sequence..sequence + 1));
                let [start, end] = [of_sequence.start, of_sequence.end].map(|row| (row - rows.start) * hidden);
                heads.attend(&mut q[start..end], &kv[2 * start..2 * end]);
            }
            attended.resize(x.len(), 0.0);
            output.multiply(&q, &mut attended, &mut scratch);
            norm.add_rows(x, &attended);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention;
    use crate::self_attention::testing::{HIDDEN, norm, random, weights};

    fn block(heads: usize) -> Result<PackedAttention> {
        PackedAttention::new(&weights(HIDDEN)?, norm()?, heads, None, Precision::Int8)
    }

    #[test]
    fn equals_its_parts_one_after_the_other() -> Result<()> {
        let block = block(3)?;
        for lengths in [vec![], vec![1], vec![47, 1, 1], vec![5; 40], vec![100, 3, 60, 2, 2]] {
            let sequences = Ragged::from_lengths(lengths.iter().copied());
            let x = random(&[sequences.rows(), HIDDEN])?;
            let (query, key_value) = (block.query.forward(&x)?, block.key_value.forward(&x)?);
            let plain = block.output.forward(&attention(&query, &key_value, &sequences, &sequences, block.heads)?)?;
            block.norm.add(&plain, &x)?;
            block.forward(&x, &sequences)?;
            assert_eq!(x.to_vec2::<f32>()?, plain.to_vec2::<f32>()?, "{lengths:?}");
        }
        Ok(())
    }

    #[test]
    fn refuses_what_does_not_fit() -> Result<()> {
        assert!(block(5).is_err());
        assert!(block(0).is_err());
        assert!(PackedAttention::new(&weights(8)?, norm()?, 2, None, Precision::Int8).is_err());
        let (block, three) = (block(3)?, Ragged::from_lengths([3]));
        assert!(block.forward(&random(&[2, HIDDEN])?, &three).is_err());
        assert!(block.forward(&random(&[3, 8])?, &three).is_err());
        Ok(())
    }
}
