//! The attention of a layer on the CPU, a few sequences at a time: what lies between its products never leaves the cache.

use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

use super::attention::Heads;
use super::block::Block;
use super::packed_linear::{PackedLinear, Product, Scratch, multiply, room};
use super::{AttentionWeights, LayerNorm, Precision, Ragged, Team, f32_slice_mut, tile};

/// Self-attention with its projections, the residual and the LayerNorm after it.
pub struct PackedAttention {
    query: PackedLinear,
    key_value: PackedLinear,
    output: PackedLinear,
    norm: LayerNorm,
    heads: usize,
}

/// Sequences go together until they have so many rows: 48 times 4 · 768 values of DistilBERT-base are 576 KiB of a core's
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
    pub fn forward(&self, x: &Tensor, sequences: &Ragged, team: &Team) -> Result<()> {
        x.inplace_op1(&Run { layer: self, sequences, team })
    }

    /// A block of sequences: `x [rows, hidden]` is written over.
    fn run(&self, x: &mut [f32], sequences: &[Range<usize>], memory: &mut Memory, team: &Team) {
        let Self { query, key_value, output, norm, heads } = self;
        let Memory { heads: attention, q, kv, context, scratch: [scratch, other] } = memory;
        let hidden = norm.width();
        let (q, kv, context) = (room(q, x.len()), room(kv, 2 * x.len()), room(context, x.len()));
        multiply(team, [Product::new(query, x, q, scratch), Product::new(key_value, x, kv, other)]);

        let mut block = Block::new(context, hidden);
        let mut pieces = Vec::with_capacity(sequences.len() * heads);
        for rows in sequences {
            let [start, end] = [rows.start, rows.end].map(|row| (row - sequences[0].start) * hidden);
            let context = block.split_off_rows(rows.len());
            pieces.extend(Heads::of_sequence(&q[start..end], &kv[2 * start..2 * end], hidden / heads, context));
        }
        team.each(&mut pieces, |head| attention.attend(head));

        // What was asked is not needed any more.
        let attended = q;
        multiply(team, [Product::new(output, context, attended, scratch)]);
        norm.add_rows(x, attended, team);
    }
}

/// One pass over a batch.
struct Run<'a> {
    layer: &'a PackedAttention,
    sequences: &'a Ragged,
    team: &'a Team,
}

/// What blocks use in turn.
struct Memory {
    heads: Heads,
    q: Vec<f32>,
    kv: Vec<f32>,
    context: Vec<f32>,
    scratch: [Scratch; 2],
}

impl InplaceOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let hidden = self.layer.norm.width();
        if layout.dims() != [self.sequences.rows(), hidden] {
            bail!("attention: {:?} in a layer of {hidden}, {} rows", layout.shape(), self.sequences.rows());
        }
        let x = f32_slice_mut(x, layout)?;
        let sequences: Vec<_> = self.sequences.ranges().collect();
        let [q, kv, context] = [const { Vec::new() }; 3];
        let mut memory = Memory { heads: Heads::new(), q, kv, context, scratch: Default::default() };
        for block in self.sequences.blocks(BLOCK) {
            let rows = self.sequences.span(&block);
            let x = &mut x[rows.start * hidden..rows.end * hidden];
            self.layer.run(x, &sequences[block], &mut memory, self.team);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention;
    use crate::weights::testing::{HIDDEN, norm, random, weights};

    fn block(heads: usize) -> Result<PackedAttention> {
        PackedAttention::new(&weights(HIDDEN)?, norm()?, heads, None, Precision::Int8)
    }

    #[test]
    fn equals_its_parts_one_after_the_other() -> Result<()> {
        let (block, team) = (block(3)?, &Team::alone());
        for lengths in [vec![], vec![1], vec![47, 1, 1], vec![5; 40], vec![100, 3, 60, 2, 2]] {
            let sequences = Ragged::from_lengths(lengths.iter().copied());
            let x = random(&[sequences.rows(), HIDDEN])?;
            let (query, key_value) = (block.query.forward(&x, team)?, block.key_value.forward(&x, team)?);
            let plain = attention(&query, &key_value, &sequences, &sequences, block.heads)?;
            let plain = block.output.forward(&plain, team)?;
            block.norm.add(&plain, &x)?;
            block.forward(&x, &sequences, team)?;
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
        assert!(block.forward(&random(&[2, HIDDEN])?, &three, &Team::alone()).is_err());
        assert!(block.forward(&random(&[3, 8])?, &three, &Team::alone()).is_err());
        Ok(())
    }
}
