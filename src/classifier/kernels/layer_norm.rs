//! Residual addition and LayerNorm in one pass over each row.

use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor};

use super::{f32_slice, f32_slice_mut, math, multiversion};

/// `x ← LayerNorm(x + residual) · weight + bias`, in place.
///
/// `x` and `residual` are `[rows, hidden]`; `affine` is `[2, hidden]`, the weight above the bias, in f32.
///
/// # Errors
/// When a tensor is not contiguous, is not f32 on the CPU, or the shapes disagree.
pub fn add_layer_norm(x: &Tensor, residual: &Tensor, affine: &Tensor, epsilon: f32) -> Result<()> {
    let hidden = x.dim(1)?;
    if residual.shape() != x.shape() || affine.dims() != [2, hidden] {
        candle_core::bail!("layer norm of {x:?} with {residual:?} and {affine:?}");
    }
    x.inplace_op3(residual, affine, &AddLayerNorm { hidden, epsilon })
}

struct AddLayerNorm {
    hidden: usize,
    epsilon: f32,
}

impl InplaceOp3 for AddLayerNorm {
    fn name(&self) -> &'static str {
        "add-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<()> {
        let x = f32_slice_mut(x, x_layout)?;
        let residual = f32_slice(residual, residual_layout)?;
        let (weight, bias) = f32_slice(affine, affine_layout)?.split_at(self.hidden);
        for (x, residual) in x.chunks_exact_mut(self.hidden).zip(residual.chunks_exact(self.hidden)) {
            normalize(x, residual, weight, bias, self.epsilon);
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &mut candle_core::CudaStorage,
        x_layout: &Layout,
        residual: &candle_core::CudaStorage,
        residual_layout: &Layout,
        affine: &candle_core::CudaStorage,
        affine_layout: &Layout,
    ) -> Result<()> {
        super::cuda::add_layer_norm(x, x_layout, residual, residual_layout, affine, affine_layout, self.epsilon)
    }
}

multiversion! {
    fn normalize(x: &mut [f32], residual: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) {
        for (x, r) in x.iter_mut().zip(residual) {
            *x += r;
        }
        let n = x.len() as f32;
        let mean = math::sum(x, |v| v) / n;
        let variance = math::sum(x, |v| (v - mean) * (v - mean)) / n;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for ((x, w), b) in x.iter_mut().zip(weight).zip(bias) {
            *x = (*x - mean) * scale * w + b;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn equals_candle() -> Result<()> {
        let device = &Device::Cpu;
        for (rows, hidden) in [(0, 8), (1, 1), (1, 24), (3, 40), (5, 16), (2, 768), (4, 100)] {
            let x = Tensor::randn(0f32, 3f32, (rows, hidden), device)?;
            let residual = Tensor::randn(1f32, 2f32, (rows, hidden), device)?;
            let affine = Tensor::randn(0f32, 1f32, (2, hidden), device)?;
            let plain = candle_nn::ops::layer_norm_slow(&(&x + &residual)?, &affine.get(0)?, &affine.get(1)?, 1e-12)?;
            add_layer_norm(&x, &residual, &affine, 1e-12)?;
            // A single feature has no variance: both divide rounding noise by almost nothing.
            if hidden == 1 {
                continue;
            }
            let worst = crate::classifier::testing::max_difference(&x, &plain)?;
            assert!(worst < 2e-5, "{rows} x {hidden}: {worst}");
        }
        Ok(())
    }

    #[test]
    fn refuses_shapes_that_disagree() -> Result<()> {
        let x = Tensor::zeros((2, 4), candle_core::DType::F32, &Device::Cpu)?;
        let affine = Tensor::zeros((2, 5), candle_core::DType::F32, &Device::Cpu)?;
        assert!(add_layer_norm(&x, &x.copy()?, &affine, 1e-12).is_err());
        Ok(())
    }
}
