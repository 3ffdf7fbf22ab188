//! Attention over packed sequences: each sequence attends to itself alone, at its own length, without padding.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::block::Block;
use super::team::Spare;
use super::tile::{Panels, ROWS, Rows, Sums, TileKernel};
use super::{Ragged, f32_slice, float32, math, multiversion};

/// Multi-head attention, `softmax(q · kᵀ / √d) · v` for each sequence and head.
///
/// `query` is `[query rows, hidden]`, `key_value` `[rows, 2 · hidden]` with the keys left of the values; the result is
/// `[query rows, hidden]`. `queries` and `keys` say which rows belong to a sequence, and hold as many sequences.
///
/// # Errors
/// When a tensor is not contiguous f32 on the CPU, or the shapes and sequences disagree.
pub fn attention(query: &Tensor, key_value: &Tensor, queries: &Ragged, keys: &Ragged, heads: usize) -> Result<Tensor> {
    let op = Attention { queries, keys, heads };
    query.apply_op2_no_bwd(key_value, &op)
}

struct Attention<'a> {
    queries: &'a Ragged,
    keys: &'a Ragged,
    heads: usize,
}

impl CustomOp2 for Attention<'_> {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        kv: &CpuStorage,
        kv_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (query_rows, hidden) = self.shape(q_layout, kv_layout)?;
        let (q, kv) = (f32_slice(q, q_layout)?, f32_slice(kv, kv_layout)?);
        let mut context = vec![0.0; q.len()];
        let mut block = Block::new(&mut context, hidden);
        let heads = Heads::new();
        for (queries, keys) in self.queries.ranges().zip(self.keys.ranges()) {
            let q = &q[queries.start * hidden..queries.end * hidden];
            let kv = &kv[keys.start * 2 * hidden..keys.end * 2 * hidden];
            let context = block.split_off_rows(queries.len());
            Heads::of_sequence(q, kv, hidden / self.heads, context).for_each(|mut head| heads.attend(&mut head));
        }
        Ok((CpuStorage::F32(context), Shape::from((query_rows, hidden))))
    }
}

impl Attention<'_> {
    /// Query rows and hidden size, of inputs that agree with the sequences.
    fn shape(&self, q: &Layout, kv: &Layout) -> Result<(usize, usize)> {
        let (query_rows, hidden) = q.shape().dims2()?;
        let agree = kv.dims() == [self.keys.rows(), 2 * hidden]
            && query_rows == self.queries.rows()
            && self.queries.len() == self.keys.len()
            && hidden.is_multiple_of(self.heads);
        if !agree {
            bail!("attention: {:?} on {:?} with {} heads", q.shape(), kv.shape(), self.heads);
        }
        Ok((query_rows, hidden))
    }
}

/// One head of one sequence on the CPU.
pub struct Head<'a> {
    /// Of all heads, `[queries, hidden]`.
    q: &'a [f32],
    /// Of all heads, `[keys, 2 · hidden]`.
    kv: &'a [f32],
    /// The head's first.
    column: usize,
    hidden: usize,
    /// What the queries see, `[queries, width]`: zeros if there are no keys.
    context: Block<'a>,
}

/// What the heads of a batch are attended with.
pub struct Heads {
    kernel: TileKernel<f32>,
    /// As many as run at once.
    memory: Spare<HeadMemory>,
}

/// What one head after the other uses.
#[derive(Default)]
struct HeadMemory {
    keys: Panels,
    values: Panels,
    /// `[ROWS, keys]`, the keys filled up to whole vectors.
    weights: Vec<f32>,
}

impl Heads {
    /// Nothing is laid out yet.
    pub fn new() -> Self {
        Self { kernel: float32::fastest(), memory: Spare::default() }
    }

    /// All heads of a sequence, `width` columns each: of `q [queries, hidden]` and `kv [keys, 2 · hidden]`.
    pub fn of_sequence<'a>(
        q: &'a [f32],
        kv: &'a [f32],
        width: usize,
        context: Block<'a>,
    ) -> impl Iterator<Item = Head<'a>> {
        let hidden = context.columns();
        let contexts = context.split_columns(width).zip((0..).step_by(width));
        contexts.map(move |(context, column)| Head { q, kv, column, hidden, context })
    }

    /// Fills the head's context.
    pub fn attend(&self, head: &mut Head<'_>) {
        self.memory.with(|memory| memory.attend(self.kernel, head));
    }
}

impl HeadMemory {
    fn attend(&mut self, kernel: TileKernel<f32>, head: &mut Head<'_>) {
        let Head { q, kv, column, hidden, ref mut context } = *head;
        if kv.is_empty() {
            return (0..context.rows()).for_each(|row| context.row(row).fill(0.0));
        }
        let (q, kv) = (bytemuck::cast_slice(q), bytemuck::cast_slice(kv));
        let (keys, width) = (kv.len() / (2 * hidden), context.columns());
        self.keys.reset(width, keys);
        self.keys.set_columns(&kv[column..], 2 * hidden);
        self.values.reset(keys, width);
        self.values.set_rows(&kv[hidden + column..], 2 * hidden);
        // Whole vectors: what stands beyond the keys is of no weight.
        let stride = keys.next_multiple_of(math::LANES);
        self.weights.resize(ROWS * stride, 0.0);
        let scale = 1.0 / (width as f32).sqrt();
        for first in (0..context.rows()).step_by(ROWS) {
            let count = ROWS.min(context.rows() - first);
            let rows = Rows { words: &q[first * hidden + column..], stride: hidden, count };
            let weights = &mut self.weights[..count * stride];
            product(kernel, rows, &self.keys, &mut Block::new(weights, stride), 0);
            for row in weights.chunks_exact_mut(stride) {
                row[keys..].fill(f32::NEG_INFINITY);
            }
            softmax_rows(weights, stride, scale);
            let rows = Rows { words: bytemuck::cast_slice(weights), stride, count };
            product(kernel, rows, &self.values, context, first);
        }
    }
}

/// `rows · panels`, row `i` into row `first + i` of `out`.
pub fn product(kernel: TileKernel<f32>, rows: Rows<'_>, panels: &Panels, out: &mut Block<'_>, first: usize) {
    let mut sums = Sums::default();
    for (panel, columns) in panels.iter() {
        kernel.multiply(rows, panel, columns.len(), None, &mut sums);
        for (sums, row) in sums.0[..rows.count].iter().zip(first..) {
            out.row(row)[columns.clone()].copy_from_slice(&sums[..columns.len()]);
        }
    }
}

multiversion! {
    /// Softmax over each row of `width` scores times `scale`, the largest taken away first so that nothing overflows.
    pub fn softmax_rows(scores: &mut [f32], width: usize, scale: f32) {
        for row in scores.chunks_exact_mut(width) {
            let max = math::largest(row);
            for x in row.iter_mut() {
                *x = math::exp((*x - max) * scale);
            }
            let share = 1.0 / math::sum(row, |x| x);
            for x in row.iter_mut() {
                *x *= share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, DType, Device};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::max_difference;

    /// One sequence by candle's own operations.
    fn plain(q: &Tensor, kv: &Tensor, heads: usize) -> Result<Tensor> {
        let (queries, hidden) = q.dims2()?;
        let split = |x: Tensor| x.reshape(((), heads, hidden / heads))?.transpose(0, 1)?.contiguous();
        let q = split(q.clone())?;
        let k = split(kv.narrow(1, 0, hidden)?.contiguous()?)?;
        let v = split(kv.narrow(1, hidden, hidden)?.contiguous()?)?;
        let scores = (q.matmul(&k.transpose(1, 2)?)? / ((hidden / heads) as f64).sqrt())?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        weights.matmul(&v)?.transpose(0, 1)?.reshape((queries, hidden))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn equals_candle_sequence_by_sequence(
            lengths in prop::collection::vec(1usize..40, 1..6),
            heads in 1usize..5,
            width in 1usize..20,
            first_only in any::<bool>(),
        ) {
            let device = &Device::Cpu;
            let hidden = heads * width;
            let keys = Ragged::from_lengths(lengths.iter().copied());
            let queries = if first_only { Ragged::from_lengths(vec![1; lengths.len()]) } else { keys.clone() };
            let q = Tensor::randn(0f32, 2f32, (queries.rows(), hidden), device).unwrap();
            let kv = Tensor::randn(0f32, 2f32, (keys.rows(), 2 * hidden), device).unwrap();
            let ours = attention(&q, &kv, &queries, &keys, heads).unwrap();
            for (query_range, key_range) in queries.ranges().zip(keys.ranges()) {
                let q = q.narrow(0, query_range.start, query_range.len()).unwrap();
                let kv = kv.narrow(0, key_range.start, key_range.len()).unwrap();
                let part = ours.narrow(0, query_range.start, query_range.len()).unwrap();
                prop_assert!(max_difference(&part, &plain(&q, &kv, heads).unwrap()).unwrap() < 1e-4);
            }
        }
    }

    #[test]
    fn no_sequences_and_extreme_scores() -> Result<()> {
        let none = Tensor::zeros((0, 8), DType::F32, &Device::Cpu)?;
        let kv = Tensor::zeros((0, 16), DType::F32, &Device::Cpu)?;
        let empty = Ragged::from_lengths([]);
        assert_eq!(attention(&none, &kv, &empty, &empty, 2)?.dims(), [0, 8]);
        let one = Tensor::ones((1, 8), DType::F32, &Device::Cpu)?;
        let blind = attention(&one, &kv, &Ragged::from_lengths([1]), &Ragged::from_lengths([0]), 2)?;
        assert_eq!(blind.to_vec2::<f32>()?, [[0.0; 8]]);

        let two = Ragged::from_lengths([2]);
        let q = Tensor::new(&[[1e4f32], [-1e4]], &Device::Cpu)?;
        let kv = Tensor::new(&[[1e4f32, 1.0], [-1e4, 2.0]], &Device::Cpu)?;
        let context = attention(&q, &kv, &two, &two, 1)?.to_vec2::<f32>()?;
        assert_eq!(context, [[1.0], [2.0]]);
        Ok(())
    }

    #[test]
    fn refuses_what_disagrees() -> Result<()> {
        let q = Tensor::zeros((3, 8), DType::F32, &Device::Cpu)?;
        let kv = Tensor::zeros((3, 16), DType::F32, &Device::Cpu)?;
        let three = Ragged::from_lengths([3]);
        assert!(attention(&q, &kv, &three, &three, 3).is_err());
        assert!(attention(&q, &kv, &Ragged::from_lengths([1, 2]), &three, 2).is_err());
        assert!(attention(&q, &kv, &three, &Ragged::from_lengths([2]), 2).is_err());
        Ok(())
    }
}
