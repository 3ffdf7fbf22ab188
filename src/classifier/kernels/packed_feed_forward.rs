//! The feed-forward block of a layer on the CPU, a few rows at a time: what lies between its two products never leaves the cache.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::packed_linear::{PackedLinear, Scratch};
use super::{f32_slice, tile};

/// Two linear layers, the second on the outputs of the first.
pub struct PackedFeedForward {
    widen: PackedLinear,
    narrow: PackedLinear,
}

/// Rows at a time: 48 times 3072 values of DistilBERT-base are 576 KiB of a core's second-level cache.
const BLOCK: usize = 8 * tile::ROWS;

impl PackedFeedForward {
    /// # Errors
    /// When the one layer's outputs are not the other's inputs.
    pub fn new(widen: PackedLinear, narrow: PackedLinear) -> Result<Self> {
        if widen.out() != narrow.inner() {
            bail!("feed-forward: {} outputs into {} inputs", widen.out(), narrow.inner());
        }
        Ok(Self { widen, narrow })
    }

    /// `x [rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// When `x` is not contiguous f32 on the CPU, or has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for PackedFeedForward {
    fn name(&self) -> &'static str {
        "feed-forward"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = layout.shape().dims2()?;
        if inner != self.widen.inner() {
            bail!("feed-forward: {:?} into {} inputs", layout.shape(), self.widen.inner());
        }
        let x = f32_slice(x, layout)?;
        let out = self.narrow.out();
        let mut y = vec![0f32; rows * out];
        let mut wide = vec![0f32; rows.min(BLOCK) * self.widen.out()];
        let mut scratch = Scratch::default();
        for (x, y) in x.chunks(BLOCK * inner).zip(y.chunks_mut(BLOCK * out)) {
            let wide = &mut wide[..x.len() / inner * self.widen.out()];
            self.widen.multiply(x, wide, &mut scratch);
            self.narrow.multiply(wide, y, &mut scratch);
        }
        Ok((CpuStorage::F32(y), Shape::from((rows, out))))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::classifier::kernels::{Activation, Precision};

    #[test]
    fn equals_its_layers_one_after_the_other() -> Result<()> {
        let random = |shape: &[usize]| Tensor::randn(0f32, 1f32, shape, &Device::Cpu);
        let layer = |inner, out| PackedLinear::new(&random(&[out, inner])?, &random(&[out])?, None, Precision::Int8);
        let wide = || Ok::<_, candle_core::Error>((layer(20, 70)?.with_activation(Activation::Gelu), layer(70, 20)?));
        for rows in [0, 1, 47, 48, 49, 200] {
            let x = random(&[rows, 20])?;
            let (widen, narrow) = wide()?;
            let plain = narrow.forward(&widen.forward(&x)?)?.to_vec2::<f32>()?;
            assert_eq!(PackedFeedForward::new(widen, narrow)?.forward(&x)?.to_vec2::<f32>()?, plain);
        }
        let (widen, narrow) = wide()?;
        assert!(PackedFeedForward::new(narrow, widen)?.forward(&random(&[3, 20])?).is_err());
        assert!(PackedFeedForward::new(layer(20, 30)?, layer(40, 20)?).is_err());
        Ok(())
    }
}
