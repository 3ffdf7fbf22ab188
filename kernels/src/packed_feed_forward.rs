//! The feed-forward block of a layer on the CPU, a few rows at a time: what lies between its two products never leaves the cache.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

use super::packed_linear::{PackedLinear, Product, Scratch, multiply};
use super::{LayerNorm, Team, f32_slice_mut, tile};

/// Two linear layers, the second on the outputs of the first, with the residual and the LayerNorm after them.
pub struct PackedFeedForward {
    widen: PackedLinear,
    narrow: PackedLinear,
    norm: LayerNorm,
}

/// Rows at a time: 48 times 3072 values of DistilBERT-base are 576 KiB of a core's second-level cache.
const BLOCK: usize = 8 * tile::ROWS;

impl PackedFeedForward {
    /// # Errors
    /// When the one layer's outputs are not the other's inputs, or what is added or normalized has another width.
    pub fn new(widen: PackedLinear, narrow: PackedLinear, norm: LayerNorm) -> Result<Self> {
        if widen.out() != narrow.inner() || [narrow.out(), norm.width()] != [widen.inner(); 2] {
            let [a, b] = [&widen, &narrow].map(|layer| (layer.inner(), layer.out()));
            bail!("feed-forward: layers {a:?} and {b:?}, a norm of {}", norm.width());
        }
        Ok(Self { widen, narrow, norm })
    }

    /// `x ← LayerNorm(x + narrow(widen(x)))` over `x [rows, in]`, in place.
    ///
    /// # Errors
    /// When `x` is not contiguous f32 on the CPU, or has another width.
    pub fn forward(&self, x: &Tensor, team: &Team) -> Result<()> {
        x.inplace_op1(&Run { layer: self, team })
    }
}

/// One pass over rows.
struct Run<'a> {
    layer: &'a PackedFeedForward,
    team: &'a Team,
}

impl InplaceOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "feed-forward"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let PackedFeedForward { widen, narrow, norm } = self.layer;
        let (rows, width) = layout.shape().dims2()?;
        if width != widen.inner() {
            bail!("feed-forward: {:?} into {} inputs", layout.shape(), widen.inner());
        }
        let x = f32_slice_mut(x, layout)?;
        let rows = rows.min(BLOCK);
        let (mut wide, mut y) = (vec![0f32; rows * widen.out()], vec![0f32; rows * width]);
        let mut scratch = Scratch::default();
        for x in x.chunks_mut(BLOCK * width) {
            let rows = x.len() / width;
            let (wide, y) = (&mut wide[..rows * widen.out()], &mut y[..x.len()]);
            multiply(self.team, [Product::new(widen, x, wide, &mut scratch)]);
            multiply(self.team, [Product::new(narrow, wide, y, &mut scratch)]);
            norm.add_rows(x, y, self.team);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::{Activation, Precision};

    fn random(shape: &[usize]) -> Result<Tensor> {
        Tensor::randn(0f32, 1f32, shape, &Device::Cpu)
    }

    fn layer(inner: usize, out: usize) -> Result<PackedLinear> {
        PackedLinear::new(&random(&[out, inner])?, &random(&[out])?, None, Precision::Int8)
    }

    fn norm(width: usize) -> Result<LayerNorm> {
        LayerNorm::new(&random(&[width])?, &random(&[width])?, 1e-12)
    }

    #[test]
    fn equals_its_parts_one_after_the_other() -> Result<()> {
        let block =
            PackedFeedForward::new(layer(20, 70)?.with_activation(Activation::Gelu), layer(70, 20)?, norm(20)?)?;
        let team = &Team::alone();
        for rows in [0, 1, 47, 48, 49, 200] {
            let x = random(&[rows, 20])?;
            let plain = block.narrow.forward(&block.widen.forward(&x, team)?, team)?;
            block.norm.add(&plain, &x)?;
            block.forward(&x, team)?;
            assert_eq!(x.to_vec2::<f32>()?, plain.to_vec2::<f32>()?);
        }
        assert!(block.forward(&random(&[3, 70])?, team).is_err());
        Ok(())
    }

    #[test]
    fn refuses_parts_that_do_not_fit() -> Result<()> {
        assert!(PackedFeedForward::new(layer(20, 30)?, layer(40, 20)?, norm(20)?).is_err());
        assert!(PackedFeedForward::new(layer(20, 30)?, layer(30, 10)?, norm(20)?).is_err());
        assert!(PackedFeedForward::new(layer(20, 30)?, layer(30, 20)?, norm(30)?).is_err());
        Ok(())
    }
}
