//! Attention over packed sequences: each sequence attends to itself alone, at its own length, without padding.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::tile::{Panels, ROWS, Rows, Sums, TileKernel};
use super::{Ragged, f32_slice, float32, math, multiversion};

/// Multi-head attention, `softmax(q · kᵀ / √d) · v` for each sequence and head.
///
/// `query` is `[query rows, hidden]`, `key_value` `[rows, 2 · hidden]` with the keys left of the values; the result is
/// `[query rows, hidden]`. `queries` and `keys` say which rows belong to a sequence, and hold as many sequences.
///
/// # Errors
/// When a tensor is not contiguous f32 on the CPU, or f32, f16 or bf16 on a GPU with the sequences at its side, or the
/// shapes and sequences disagree.
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
        let mut context = f32_slice(q, q_layout)?.to_vec();
        let kv = f32_slice(kv, kv_layout)?;
        let mut heads = Heads::new(self.heads, hidden);
        for (queries, keys) in self.queries.ranges().zip(self.keys.ranges()) {
            let q = &mut context[queries.start * hidden..queries.end * hidden];
            heads.attend(q, &kv[keys.start * 2 * hidden..keys.end * 2 * hidden]);
        }
        Ok((CpuStorage::F32(context), Shape::from((query_rows, hidden))))
    }

    fn cuda_fwd(
        &self,
        q: &candle_core::CudaStorage,
        q_layout: &Layout,
        kv: &candle_core::CudaStorage,
        kv_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.shape(q_layout, kv_layout)?;
        super::cuda::attention(q, q_layout, kv, kv_layout, (self.queries, self.keys), self.heads)
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

/// Attention on the CPU, one head of one sequence at a time, in memory that the next one uses again.
pub struct Heads {
    kernel: TileKernel<f32>,
    hidden: usize,
    /// Columns of a head.
    width: usize,
    keys: Panels,
    values: Panels,
    /// `[ROWS, keys]`, the keys filled up to whole vectors.
    weights: Vec<f32>,
}

impl Heads {
    /// So many heads side by side in `hidden` columns.
    pub fn new(heads: usize, hidden: usize) -> Self {
        Self {
            kernel: float32::fastest(),
            hidden,
            width: hidden / heads,
            keys: Panels::default(),
            values: Panels::default(),
            weights: Vec::new(),
        }
    }

    /// Writes over the queries of a sequence, `[queries, hidden]`, what they see of its keys and values,
    /// `kv [keys, 2 · hidden]`: zeros if there are none.
    pub fn attend(&mut self, q: &mut [f32], kv: &[f32]) {
        if q.is_empty() || kv.is_empty() {
            return q.fill(0.0);
        }
        for column in (0..self.hidden).step_by(self.width) {
            let kv = bytemuck::cast_slice(kv);
            let keys = kv.len() / (2 * self.hidden);
            self.keys.reset(self.width, keys);
            self.keys.set_columns(&kv[column..], 2 * self.hidden);
            self.values.reset(keys, self.width);
            self.values.set_rows(&kv[self.hidden + column..], 2 * self.hidden);
            self.attend_head(q, keys, column);
        }
    }

    /// The head whose columns begin at `column`.
    fn attend_head(&mut self, q: &mut [f32], keys: usize, column: usize) {
        // Whole vectors: what stands beyond the keys is of no weight.
        let stride = keys.next_multiple_of(math::LANES);
        self.weights.resize(ROWS * stride, 0.0);
        let scale = 1.0 / (self.width as f32).sqrt();
        for q in q.chunks_mut(ROWS * self.hidden) {
            let count = q.len() / self.hidden;
            let rows = Rows { words: bytemuck::cast_slice(&q[column..]), stride: self.hidden, count };
            let weights = &mut self.weights[..count * stride];
            product(self.kernel, rows, &self.keys, weights, stride);
            for row in weights.chunks_exact_mut(stride) {
                row[keys..].fill(f32::NEG_INFINITY);
            }
            softmax_rows(weights, stride, scale);
            let rows = Rows { words: bytemuck::cast_slice(weights), stride, count };
            product(self.kernel, rows, &self.values, &mut q[column..], self.hidden);
        }
    }
}

/// `rows · panels`, row `i` into `out[i * stride..]`.
pub fn product(kernel: TileKernel<f32>, rows: Rows<'_>, panels: &Panels, out: &mut [f32], stride: usize) {
    let mut sums = Sums::default();
    for (panel, columns) in panels.iter() {
        kernel.multiply(rows, panel, columns.len(), &mut sums);
        for (sums, out) in sums.0[..rows.count].iter().zip(out.chunks_mut(stride)) {
            out[columns.clone()].copy_from_slice(&sums[..columns.len()]);
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
            let queries = if first_only { Ragged::singles(lengths.len()) } else { keys.clone() };
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
