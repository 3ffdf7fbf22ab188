//! What follows a linear layer, element by element, while its outputs are in the first-level cache.
#![expect(clippy::inline_always, reason = "the kernels' loops vectorise only around inlined bodies")]

use std::ops::Range;

use super::block::Block;
use super::math;
use super::tile::COLUMNS;

/// The activations of Hugging Face's table that DistilBERT checkpoints name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// x
    #[default]
    None,
    /// GELU by the error function.
    Gelu,
    /// GELU by the tanh approximation.
    GeluTanh,
    /// max(x, 0)
    Relu,
    /// x · sigmoid(x)
    Silu,
}

impl Activation {
    /// Of each element.
    pub fn of(self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        if !x.is_empty() {
            self.fill(&mut Block::new(&mut y, x.len()), 0..1, |_| |i: usize| x[i]);
        }
        y
    }

    /// Sets element `i` of the `n`th of some rows to the activation of `x(n)(i)`.
    #[inline(always)]
    pub(super) fn fill<X: Fn(usize) -> f32>(self, y: &mut Block<'_>, rows: Range<usize>, x: impl Fn(usize) -> X) {
        // Each has its loop over the rows: the constants of all would not fit the registers.
        match self {
            Self::None => fill(y, rows, x, |x| x),
            Self::Gelu => fill(y, rows, x, math::gelu),
            Self::GeluTanh => fill(y, rows, x, math::gelu_tanh),
            Self::Relu => fill(y, rows, x, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Silu => fill(y, rows, x, |x| x / (1.0 + math::exp(-x))),
        }
    }
}

/// A whole panel's row is a loop without counting, four vectors side by side.
#[inline(always)]
fn fill<X: Fn(usize) -> f32>(y: &mut Block<'_>, rows: Range<usize>, x: impl Fn(usize) -> X, f: impl Fn(f32) -> f32) {
    for (n, row) in rows.enumerate() {
        let (y, x) = (y.row(row), x(n));
        match <&mut [f32; COLUMNS]>::try_from(&mut *y) {
            Ok(y) => (0..COLUMNS).for_each(|i| y[i] = f(x(i))),
            Err(_) => (0..y.len()).for_each(|i| y[i] = f(x(i))),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::*;

    type Plain = fn(&Tensor) -> Result<Tensor>;

    #[test]
    fn each_equals_candle() -> Result<()> {
        let pairs: [(Activation, Plain); 5] = [
            (Activation::None, |x| Ok(x.clone())),
            (Activation::Gelu, Tensor::gelu_erf),
            (Activation::GeluTanh, Tensor::gelu),
            (Activation::Relu, Tensor::relu),
            (Activation::Silu, Tensor::silu),
        ];
        for (activation, plain) in pairs {
            for n in [0_usize, 1, 17, COLUMNS, 1000] {
                let x = (Tensor::rand(-1f32, 1f32, n, &Device::Cpu)? * 9.0)?;
                let plain = plain(&x)?.to_vec1::<f32>()?;
                let x = x.to_vec1::<f32>()?;
                for (ours, plain) in activation.of(&x).iter().zip(plain) {
                    assert!((ours - plain).abs() < 4e-6, "{activation:?}: {ours} is not {plain}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn extremes() {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu] {
            let x = [-1e30f32, -50.0, 0.0, 50.0, 1e30, f32::NAN];
            let y = activation.of(&x);
            assert!(y[0].abs() < 1e-5 && y[1].abs() < 1e-5, "{activation:?}: {y:?}");
            assert!(y[2] == 0.0 && y[3] == 50.0 && y[4] == 1e30 && y[5].is_nan(), "{activation:?}: {y:?}");
        }
    }
}
