//! Attention over packed sequences: each sequence attends to itself alone, at its own length, without padding.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

use super::{f32_slice, math, multiversion};

/// Where the sequences of a packed tensor begin: sequence `i` has the rows `offsets[i]..offsets[i + 1]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ragged(Vec<usize>);

impl Ragged {
    /// Sequences of these lengths, one after the other.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            offsets.push(end);
        }
        Self(offsets)
    }

    /// `count` sequences of one row each.
    pub fn singles(count: usize) -> Self {
        Self((0..=count).collect())
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.0.len() - 1
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of all sequences together.
    pub fn rows(&self) -> usize {
        self.0[self.len()]
    }

    /// The first row of each sequence.
    pub fn starts(&self) -> &[usize] {
        &self.0[..self.len()]
    }

    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.0.windows(2).map(|w| w[0]..w[1])
    }
}

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
        let (query_rows, hidden) = q_layout.shape().dims2()?;
        let agree = kv_layout.dims() == [self.keys.rows(), 2 * hidden]
            && query_rows == self.queries.rows()
            && self.queries.len() == self.keys.len()
            && hidden.is_multiple_of(self.heads);
        if !agree {
            bail!("attention: {:?} on {:?} with {} heads", q_layout.shape(), kv_layout.shape(), self.heads);
        }
        let q = f32_slice(q, q_layout)?;
        let kv = f32_slice(kv, kv_layout)?;
        let mut context = vec![0f32; query_rows * hidden];
        let mut scores = Vec::new();
        for (queries, keys) in self.queries.ranges().zip(self.keys.ranges()) {
            let sequence = Sequence {
                q: &q[queries.start * hidden..queries.end * hidden],
                kv: &kv[keys.start * 2 * hidden..keys.end * 2 * hidden],
                hidden,
                heads: self.heads,
            };
            sequence.attend(&mut scores, &mut context[queries.start * hidden..queries.end * hidden]);
        }
        Ok((CpuStorage::F32(context), Shape::from((query_rows, hidden))))
    }
}

/// One sequence: `q` is `[query rows, hidden]`, `kv` `[rows, 2 · hidden]`.
struct Sequence<'a> {
    q: &'a [f32],
    kv: &'a [f32],
    hidden: usize,
    heads: usize,
}

impl Sequence<'_> {
    /// Writes the context `[query rows, hidden]`; `scores` is scratch space.
    fn attend(&self, scores: &mut Vec<f32>, context: &mut [f32]) {
        let (queries, keys) = (self.q.len() / self.hidden, self.kv.len() / (2 * self.hidden));
        if queries == 0 || keys == 0 {
            return;
        }
        assert_eq!(context.len(), self.q.len());
        scores.clear();
        scores.resize(queries * keys, 0.0);
        let width = self.hidden / self.heads;
        let scale = 1.0 / (width as f32).sqrt();
        let (hidden, row) = (self.hidden.cast_signed(), (2 * self.hidden).cast_signed());
        for column in (0..self.hidden).step_by(width) {
            let (k, v) = (column, self.hidden + column);
            // SAFETY: `q` and `context` hold `queries` rows of `hidden`, `kv` holds `keys` rows of `2 · hidden`, `scores`
            // holds `queries · keys`, and a head's columns end inside its row. Strides are column, then row; the keys are
            // read transposed. `scores` and `context` are borrowed alone.
            unsafe {
                gemm::gemm(
                    queries,
                    keys,
                    width,
                    scores.as_mut_ptr(),
                    1,
                    keys.cast_signed(),
                    false,
                    self.q[column..].as_ptr(),
                    1,
                    hidden,
                    self.kv[k..].as_ptr(),
                    row,
                    1,
                    0.0,
                    scale,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
                softmax_rows(scores, keys);
                gemm::gemm(
                    queries,
                    width,
                    keys,
                    context[column..].as_mut_ptr(),
                    1,
                    hidden,
                    false,
                    scores.as_ptr(),
                    1,
                    keys.cast_signed(),
                    self.kv[v..].as_ptr(),
                    1,
                    row,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        }
    }
}

multiversion! {
    /// Softmax over each row of `width` scores, the largest taken away first so that nothing overflows.
    fn softmax_rows(scores: &mut [f32], width: usize) {
        for row in scores.chunks_exact_mut(width) {
            let max = row.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            for x in row.iter_mut() {
                *x = math::exp(*x - max);
            }
            let scale = 1.0 / math::sum(row, |x| x);
            for x in row.iter_mut() {
                *x *= scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, DType, Device};
    use proptest::prelude::*;

    use super::*;
    use crate::classifier::testing::max_difference;

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
