//! A linear layer over packed tokens, `y = x · W + b`, on one thread: the engine runs one batch a core instead.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

use super::f32_slice;

/// `x [rows, in]` times `weight [in, out]` plus `bias [out]`, as `[rows, out]`.
///
/// The weight is stored `[in, out]`, the transpose of PyTorch's, which gemm reads fastest at few rows.
///
/// # Errors
/// When a tensor is not contiguous f32 on the CPU, or the shapes disagree.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.apply_op3_no_bwd(weight, bias, &Linear)
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = x_layout.shape().dims2()?;
        let (weight_in, out) = weight_layout.shape().dims2()?;
        if weight_in != inner || bias_layout.dims() != [out] {
            bail!("linear: {:?} x {:?} + {:?}", x_layout.shape(), weight_layout.shape(), bias_layout.shape());
        }
        let x = f32_slice(x, x_layout)?;
        let weight = f32_slice(weight, weight_layout)?;
        let bias = f32_slice(bias, bias_layout)?;

        let mut y = Vec::with_capacity(rows * out);
        for _ in 0..rows {
            y.extend_from_slice(bias);
        }
        let block = if out <= NARROW { NARROW } else { rows.max(1) };
        for (y, x) in y.chunks_mut(block * out).zip(x.chunks(block * inner)) {
            multiply_add(y, x, weight, inner, out);
        }
        Ok((CpuStorage::F32(y), Shape::from((rows, out))))
    }
}

/// gemm cuts the inner dimension in one way up to 64 x 64 outputs and in another above, which would change the order of
/// the sums with the number of rows. Layers this narrow are multiplied in blocks of as many rows, always the first way.
const NARROW: usize = 64;

/// `y [rows, out] += x [rows, inner] · weight [inner, out]`.
fn multiply_add(y: &mut [f32], x: &[f32], weight: &[f32], inner: usize, out: usize) {
    if y.len() == out {
        // gemm takes another path for a single row, which sums in another order: give it two.
        let mut two = [&*y, &*y].concat();
        multiply_add(&mut two, &[x, x].concat(), weight, inner, out);
        y.copy_from_slice(&two[..out]);
        return;
    }
    let rows = y.len() / out;
    assert!(x.len() == rows * inner && weight.len() == inner * out && y.len() == rows * out);
    let (inner_stride, out_stride) = (inner.cast_signed(), out.cast_signed());
    // SAFETY: the assertion above proves that the three row-major matrices lie inside their slices, and `y` is borrowed
    // alone. Strides are column stride, then row stride.
    unsafe {
        gemm::gemm(
            rows,
            out,
            inner,
            y.as_mut_ptr(),
            1,
            out_stride,
            true,
            x.as_ptr(),
            1,
            inner_stride,
            weight.as_ptr(),
            1,
            out_stride,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::classifier::testing::max_difference;

    fn random(rows: usize, inner: usize, out: usize) -> Result<[Tensor; 3]> {
        let device = &Device::Cpu;
        Ok([
            Tensor::randn(0f32, 1f32, (rows, inner), device)?,
            Tensor::randn(0f32, 1f32, (inner, out), device)?,
            Tensor::randn(0f32, 1f32, out, device)?,
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_candle(rows in 1usize..70, inner in 1usize..130, out in 1usize..130) {
            let [x, w, b] = random(rows, inner, out).unwrap();
            let plain = x.matmul(&w).unwrap().broadcast_add(&b).unwrap();
            let ours = linear(&x, &w, &b).unwrap();
            prop_assert!(max_difference(&ours, &plain).unwrap() < 1e-4);
        }

        #[test]
        fn a_row_has_the_same_bits_among_any_neighbours(rows in 2usize..300, inner in 1usize..900, out in 1usize..200) {
            let [x, w, b] = random(rows, inner, out).unwrap();
            let all = linear(&x, &w, &b).unwrap().to_vec2::<f32>().unwrap();
            for row in [0, rows / 2, rows - 1] {
                for count in [1, 2, 7] {
                    let count = count.min(rows - row);
                    let some = linear(&x.narrow(0, row, count).unwrap(), &w, &b).unwrap().to_vec2::<f32>().unwrap();
                    prop_assert_eq!(&some[0], &all[row]);
                }
            }
        }
    }

    #[test]
    fn no_rows_and_wrong_shapes() -> Result<()> {
        let [_, w, b] = random(1, 4, 3)?;
        let none = Tensor::zeros((0, 4), candle_core::DType::F32, &Device::Cpu)?;
        assert_eq!(linear(&none, &w, &b)?.dims(), [0, 3]);
        let wide = Tensor::zeros((2, 5), candle_core::DType::F32, &Device::Cpu)?;
        assert!(linear(&wide, &w, &b).is_err());
        Ok(())
    }
}
