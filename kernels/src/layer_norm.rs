//! Residual addition and LayerNorm in one pass over each row.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor};

use super::tile::ROWS;
use super::{Team, f32_slice, f32_slice_mut, math, multiversion};

/// A LayerNorm that follows a residual.
pub struct LayerNorm {
    /// `[2, hidden]`, the weight above the bias.
    affine: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// Of `weight [hidden]` and `bias [hidden]`, f32 on the CPU.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub fn new(weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Self> {
        Ok(Self { affine: Tensor::stack(&[weight, bias], 0)?.flatten_all()?.to_vec1()?, epsilon })
    }

    /// Values of a row.
    pub const fn width(&self) -> usize {
        self.affine.len() / 2
    }

    /// How far its outputs go from 0, `[hidden]`: three standard deviations of 1, scaled and shifted.
    ///
    /// # Errors
    /// None that is known.
    pub fn reach(&self) -> Result<Tensor> {
        let (weight, bias) = self.affine.split_at(self.width());
        let reach: Vec<f32> = weight.iter().zip(bias).map(|(w, b)| b.abs() + w.abs() * 3.0).collect();
        Tensor::from_vec(reach, self.width(), &candle_core::Device::Cpu)
    }

    /// `x ← LayerNorm(x + residual) · weight + bias` over `[rows, hidden]`, in place.
    ///
    /// # Errors
    /// When a tensor is not contiguous, is not f32 on the CPU, or the shapes disagree.
    pub fn add(&self, x: &Tensor, residual: &Tensor) -> Result<()> {
        if residual.shape() != x.shape() || x.dim(1)? != self.width() {
            candle_core::bail!("layer norm of {x:?} with {residual:?}, {} wide", self.width());
        }
        x.inplace_op2(residual, self)
    }

    /// The same over rows.
    pub fn add_rows(&self, x: &mut [f32], residual: &[f32], team: &Team) {
        let piece = ROWS * self.width();
        let mut pieces: Vec<_> = x.chunks_mut(piece).zip(residual.chunks(piece)).collect();
        team.each(&mut pieces, |(x, residual)| normalize(x, residual, &self.affine, self.epsilon));
    }
}

impl InplaceOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "add-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        let x = f32_slice_mut(x, x_layout)?;
        normalize(x, f32_slice(residual, residual_layout)?, &self.affine, self.epsilon);
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
            let [weight, bias] = [0, 1].map(|_| Tensor::randn(0f32, 1f32, hidden, device));
            let (weight, bias) = (weight?, bias?);
            let plain = candle_nn::ops::layer_norm_slow(&(&x + &residual)?, &weight, &bias, 1e-12)?;
            LayerNorm::new(&weight, &bias, 1e-12)?.add(&x, &residual)?;
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
        let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        let norm = LayerNorm::new(&zeros(&[5])?, &zeros(&[5])?, 1e-12)?;
        assert!(norm.add(&zeros(&[2, 4])?, &zeros(&[2, 4])?).is_err());
        assert!(norm.add(&zeros(&[2, 5])?, &zeros(&[3, 5])?).is_err());
        assert!(norm.add(&zeros(&[2, 5])?, &zeros(&[2, 5])?).is_ok());
        assert!(LayerNorm::new(&zeros(&[5])?, &zeros(&[4])?, 1e-12).is_err());
        Ok(())
    }
}
