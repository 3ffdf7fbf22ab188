//! The attention of a layer on the CPU for one row of each sequence, without its keys and values.
//!
//! A key is `W x + b`, so that a query's scores are `q · (W x + b) = (Wᵀ q) · x + q · b`, of which the last term is the same for
//! all of a sequence and leaves the softmax as it is. A head's context is `Σ a (W x + b) = W (Σ a x) + b`, as `Σ a = 1`. What
//! the other way takes two products over all rows for takes two over the asking rows alone; exact but for rounding.

use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

use super::attention::{product, softmax_rows};
use super::block::Block;
use super::packed_linear::{PackedLinear, Product, Scratch, multiply};
use super::team::Spare;
use super::tile::{Panels, ROWS, Rows, TileKernel};
use super::{AttentionWeights, LayerNorm, Precision, Ragged, Team, f32_slice, f32_slice_mut, float32, math};

/// Self-attention of one row of each sequence, with its projections, the residual and the LayerNorm after it.
pub struct AbsorbedAttention {
    /// `[hidden] → [hidden]`
    query: PackedLinear,
    /// For each head `[width] → [hidden]`, what its keys are made with, transposed.
    keys: Vec<PackedLinear>,
    /// For each head `[hidden] → [width]`
    values: Vec<PackedLinear>,
    /// `[hidden] → [hidden]`
    output: PackedLinear,
    norm: LayerNorm,
}

/// Sequences that pass together.
const BLOCK: usize = 4 * ROWS;

impl AbsorbedAttention {
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
        let hidden = norm.width();
        weights.check(hidden, heads)?;
        let width = hidden / heads;
        let [query, key, value, output] = [0, 1, 2, 3].map(|layer| (&weights.weights[layer], &weights.biases[layer]));
        let no_bias = query.1.zeros_like()?;
        let of_heads = |layer: &dyn Fn(usize) -> Result<PackedLinear>| -> Result<Vec<_>> {
            (0..hidden).step_by(width).map(layer).collect()
        };
        Ok(Self {
            query: PackedLinear::new(query.0, query.1, reach, precision)?,
            keys: of_heads(&|first| {
                let weight = key.0.narrow(0, first, width)?.t()?.contiguous()?;
                PackedLinear::new(&weight, &no_bias, None, precision)
            })?,
            values: of_heads(&|first| {
                let weight = value.0.narrow(0, first, width)?;
                PackedLinear::new(&weight, &value.1.narrow(0, first, width)?, reach, precision)
            })?,
            output: PackedLinear::new(output.0, output.1, None, precision)?,
            norm,
        })
    }

    /// `asking ← LayerNorm(asking + attention)`, in place: row `i` of `asking [sequences, hidden]` sees sequence `i` of
    /// `x [rows, hidden]`.
    ///
    /// # Errors
    /// When a tensor is not contiguous f32 on the CPU, or the shapes and sequences disagree.
    pub fn forward(&self, asking: &Tensor, x: &Tensor, sequences: &Ragged, team: &Team) -> Result<()> {
        asking.inplace_op2(x, &Run { layer: self, sequences, team })
    }

    /// A block of sequences; `asking [sequences, hidden]` is written over.
    fn run(&self, asking: &mut [f32], x: &[f32], sequences: &[Range<usize>], memory: &mut Memory, team: &Team) {
        let (hidden, width, count) = (self.norm.width(), self.keys[0].inner(), sequences.len());
        let Memory { looks, asked, seen, q, scratch, of_heads } = memory;
        q.resize(count * hidden, 0.0);
        multiply(team, [Product::new(&self.query, asking, q, scratch)]);

        // Head by head, `[heads, sequences, hidden]`: what is asked of a row, and below what is seen of the rows.
        asked.resize(self.keys.len() * count * hidden, 0.0);
        let heads = self.keys.iter().zip(of_heads.iter_mut()).zip((0..).step_by(width));
        multiply(
            team,
            heads.zip(asked.chunks_mut(count * hidden)).map(|(((layer, scratch), first), asked)| Product {
                layer,
                x: &q[first..],
                stride: hidden,
                y: Block::new(asked, hidden),
                scratch,
            }),
        );
        seen.resize(asked.len(), 0.0);
        // All heads of a sequence stand one above the other.
        let seen_by = Block::new(seen, count * hidden).split_columns(hidden);
        let mut pieces: Vec<_> = sequences.iter().enumerate().zip(seen_by).collect();
        team.each(&mut pieces, |((i, rows), seen)| {
            let x = &x[rows.start * hidden..rows.end * hidden];
            looks.look(&asked[*i * hidden..], x, seen, count * hidden);
        });
        let heads = self.values.iter().zip(of_heads).zip(seen.chunks(count * hidden));
        let contexts = Block::new(q, hidden).split_columns(width);
        multiply(
            team,
            heads.zip(contexts).map(|(((layer, scratch), x), y)| Product { layer, x, stride: hidden, y, scratch }),
        );
        let attended = &mut asked[..count * hidden];
        multiply(team, [Product::new(&self.output, q, attended, scratch)]);
        self.norm.add_rows(asking, attended, team);
    }
}

/// One pass over a batch.
struct Run<'a> {
    layer: &'a AbsorbedAttention,
    sequences: &'a Ragged,
    team: &'a Team,
}

impl InplaceOp2 for Run<'_> {
    fn name(&self) -> &'static str {
        "absorbed attention"
    }

    fn cpu_fwd(
        &self,
        asking: &mut CpuStorage,
        asking_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<()> {
        let hidden = self.layer.norm.width();
        let (sequences, rows) = (self.sequences.len(), self.sequences.rows());
        if asking_layout.dims() != [sequences, hidden] || x_layout.dims() != [rows, hidden] {
            bail!("attention: {:?} on {:?}, {sequences} sequences", asking_layout.shape(), x_layout.shape());
        }
        if self.sequences.ranges().any(|rows| rows.is_empty()) {
            bail!("attention: a sequence without rows");
        }
        let (asking, x) = (f32_slice_mut(asking, asking_layout)?, f32_slice(x, x_layout)?);
        let ranges: Vec<_> = self.sequences.ranges().collect();
        let mut memory = Memory::new(hidden, self.layer.keys.len());
        for (asking, sequences) in asking.chunks_mut(BLOCK * hidden).zip(ranges.chunks(BLOCK)) {
            self.layer.run(asking, x, sequences, &mut memory, self.team);
        }
        Ok(())
    }
}

/// What blocks use in turn.
struct Memory {
    looks: Looks,
    asked: Vec<f32>,
    seen: Vec<f32>,
    q: Vec<f32>,
    scratch: Scratch,
    /// One for each head.
    of_heads: Vec<Scratch>,
}

impl Memory {
    fn new(hidden: usize, heads: usize) -> Self {
        let looks = Looks { kernel: float32::fastest(), hidden, heads, memory: Spare::default() };
        let [asked, seen, q] = [const { Vec::new() }; 3];
        let of_heads = std::iter::repeat_with(Scratch::default).take(heads).collect();
        Self { looks, asked, seen, q, scratch: Scratch::default(), of_heads }
    }
}

/// Looks at one sequence at a time, all heads at once.
struct Looks {
    kernel: TileKernel<f32>,
    hidden: usize,
    heads: usize,
    memory: Spare<LookMemory>,
}

/// What one sequence after the other uses.
#[derive(Default)]
struct LookMemory {
    asked: Panels,
    rows: Panels,
    /// `[tokens, heads]`
    scores: Vec<f32>,
    /// `[heads, tokens]`, the tokens filled up to whole vectors.
    weights: Vec<f32>,
}

impl Looks {
    /// Means of the rows of `x [tokens, hidden]`, weighed as each head asks, into `seen [heads, hidden]`. Heads stand `stride`
    /// apart in `asked`.
    fn look(&self, asked: &[f32], x: &[f32], seen: &mut Block<'_>, stride: usize) {
        self.memory.with(|memory| self.look_with(memory, asked, x, seen, stride));
    }

    fn look_with(&self, memory: &mut LookMemory, asked: &[f32], x: &[f32], seen: &mut Block<'_>, stride: usize) {
        let Self { kernel, hidden, heads, .. } = *self;
        let tokens = x.len() / hidden;
        memory.asked.reset(hidden, heads);
        memory.asked.set_columns(bytemuck::cast_slice(asked), stride);
        memory.scores.resize(tokens * heads, 0.0);
        let mut scores = Block::new(&mut memory.scores, heads);
        for (x, first) in x.chunks(ROWS * hidden).zip((0..).step_by(ROWS)) {
            let rows = Rows { words: bytemuck::cast_slice(x), stride: hidden, count: x.len() / hidden };
            product(kernel, rows, &memory.asked, &mut scores, first);
        }
        let weights = tokens.next_multiple_of(math::LANES);
        memory.weights.clear();
        memory.weights.resize(heads * weights, f32::NEG_INFINITY);
        for (token, scores) in memory.scores.chunks_exact(heads).enumerate() {
            for (weights, score) in memory.weights.chunks_exact_mut(weights).zip(scores) {
                weights[token] = *score;
            }
        }
        softmax_rows(&mut memory.weights, weights, 1.0 / ((hidden / heads) as f32).sqrt());
        memory.rows.reset(tokens, hidden);
        memory.rows.set_rows(bytemuck::cast_slice(x), hidden);
        for (some, first) in memory.weights.chunks(ROWS * weights).zip((0..).step_by(ROWS)) {
            let rows = Rows { words: bytemuck::cast_slice(some), stride: weights, count: some.len() / weights };
            product(kernel, rows, &memory.rows, seen, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::PackedAttention;
    use crate::testing::max_difference;
    use crate::weights::testing::{HIDDEN, norm, random, weights};

    #[test]
    fn equals_attention_of_all_rows() -> Result<()> {
        let team = &Team::alone();
        for heads in [1, 3, 8, 24] {
            let weights = weights(HIDDEN)?;
            let affine = (random(&[HIDDEN])?, random(&[HIDDEN])?);
            let norm = || LayerNorm::new(&affine.0, &affine.1, 1e-12);
            let all = PackedAttention::new(&weights, norm()?, heads, None, Precision::Float32)?;
            let absorbed = AbsorbedAttention::new(&weights, norm()?, heads, None, Precision::Float32)?;
            for lengths in [vec![], vec![1], vec![16, 1, 33], vec![5; 40], vec![100, 3, 60, 2, 2]] {
                let sequences = Ragged::from_lengths(lengths.iter().copied());
                let x = random(&[sequences.rows(), HIDDEN])?;
                let first: Vec<u32> = sequences.starts().iter().map(|row| *row as u32).collect();
                let first = Tensor::new(first, &Device::Cpu)?;
                let asking = x.index_select(&first, 0)?;
                absorbed.forward(&asking, &x, &sequences, team)?;
                all.forward(&x, &sequences, team)?;
                let worst = max_difference(&asking, &x.index_select(&first, 0)?)?;
                assert!(worst < 1e-4, "{heads} heads, {lengths:?}: {worst}");
            }
        }
        Ok(())
    }

    #[test]
    fn refuses_what_does_not_fit() -> Result<()> {
        let block = |heads| AbsorbedAttention::new(&weights(HIDDEN)?, norm()?, heads, None, Precision::Int8);
        let team = &Team::alone();
        assert!(block(5).is_err());
        let (block, two) = (block(3)?, Ragged::from_lengths([1, 2]));
        let x = random(&[3, HIDDEN])?;
        assert!(block.forward(&random(&[2, HIDDEN])?, &x, &two, team).is_ok());
        assert!(block.forward(&random(&[1, HIDDEN])?, &x, &two, team).is_err());
        assert!(block.forward(&random(&[2, 8])?, &x, &two, team).is_err());
        assert!(block.forward(&random(&[2, HIDDEN])?, &x, &Ragged::from_lengths([3, 0]), team).is_err());
        Ok(())
    }
}
