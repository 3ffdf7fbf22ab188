//! Residual addition and LayerNorm in one pass over each row.

use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor};

use super::tile::ROWS;
use super::{Team, f32_slice, f32_slice_mut, math, multiversion};

/// A LayerNorm that follows a residual.
pub struct LayerNorm {
    /// `[2, hidden]`, the weight above the bias.
    affine: Tensor,
    values: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// Of `weight [hidden]` and `bias [hidden]`, f32 on the CPU.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub fn new(weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Self> {
        let affine = Tensor::stack(&[weight, bias], 0)?;
        let values = affine.flatten_all()?.to_vec1()?;
        Ok(Self { affine, values, epsilon })
    }

    /// Values of a row.
    pub const fn width(&self) -> usize {
        self.values.len() / 2
    }

    /// How far its outputs go from 0, `[hidden]`: three standard deviations of 1, scaled and shifted.
    ///
    /// # Errors
    /// None that is known.
    pub fn reach(&self) -> Result<Tensor> {
        let (weight, bias) = self.values.split_at(self.width());
        let reach: Vec<f32> = weight.iter().zip(bias).map(|(w, b)| b.abs() + w.abs() * 3.0).collect();
        Tensor::from_vec(reach, self.width(), &candle_core::Device::Cpu)
    }

    /// `x ← LayerNorm(x + residual)`, in place: see [`add_layer_norm`].
    ///
    /// # Errors
    /// As there.
    pub fn add(&self, x: &Tensor, residual: &Tensor) -> Result<()> {
        add_layer_norm(x, residual, &self.affine, self.epsilon)
    }

    /// The same over rows.
    pub fn add_rows(&self, x: &mut [f32], residual: &[f32], team: &Team) {
        let piece = ROWS * self.width();
        let mut pieces: Vec<_> = x.chunks_mut(piece).zip(residual.chunks(piece)).collect();
        team.each(&mut pieces, |(x, residual)| normalize(x, residual, &self.values, self.epsilon));
    }
}

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
    x.inplace_op3(residual, affine, &AddLayerNorm { epsilon })
}

struct AddLayerNorm {
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
        normalize(x, residual, f32_slice(affine, affine_layout)?, self.epsilon);
        Ok(())
    }
}

multiversion! {
    /// Row by row, of the width of half of `affine`.
    fn normalize(x: &mut [f32], residual: &[f32], affine: &[f32], epsilon: f32) {
        let (weight, bias) = affine.split_at(affine.len() / 2);
        let n = weight.len();
        for (x, residual) in x.chunks_exact_mut(n).zip(residual.chunks_exact(n)) {
            for (x, r) in x.iter_mut().zip(residual) {
                *x += r;
            }
            let mean = math::sum(x, |v| v) / n as f32;
            let variance = math::sum(x, |v| (v - mean) * (v - mean)) / n as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for ((x, w), b) in x.iter_mut().zip(weight).zip(bias) {
                *x = (*x - mean) * scale * w + b;
            }
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
            let worst = crate::testing::max_difference(&x, &plain)?;
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
