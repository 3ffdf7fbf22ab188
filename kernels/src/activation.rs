//! What follows a linear layer, element by element, while its outputs are in the first-level cache.
#![expect(clippy::inline_always, reason = "the kernels' loops vectorise only around inlined bodies")]

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
    /// Sets every `y[i]` to the activation of `x(i)`.
    #[inline(always)]
    pub fn fill(self, y: &mut [f32], x: impl Fn(usize) -> f32) {
        match self {
            Self::None => fill(y, x),
            Self::Gelu => fill(y, |i| math::gelu(x(i))),
            Self::GeluTanh => fill(y, |i| math::gelu_tanh(x(i))),
            Self::Relu => fill(y, |i| if x(i) < 0.0 { 0.0 } else { x(i) }),
            Self::Silu => fill(y, |i| x(i) / (1.0 + math::exp(-x(i)))),
        }
    }
}

/// A whole panel's row is a loop without counting, four vectors side by side.
#[inline(always)]
fn fill(y: &mut [f32], f: impl Fn(usize) -> f32) {
    match <&mut [f32; COLUMNS]>::try_from(&mut *y) {
        Ok(y) => (0..COLUMNS).for_each(|i| y[i] = f(i)),
        Err(_) => (0..y.len()).for_each(|i| y[i] = f(i)),
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
                let mut ours = vec![0.0; n];
                activation.fill(&mut ours, |i| x[i]);
                for (ours, plain) in ours.iter().zip(plain) {
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
            let mut y = [0.0; 6];
            activation.fill(&mut y, |i| x[i]);
            assert!(y[0].abs() < 1e-5 && y[1].abs() < 1e-5, "{activation:?}: {y:?}");
            assert!(y[2] == 0.0 && y[3] == 50.0 && y[4] == 1e30 && y[5].is_nan(), "{activation:?}: {y:?}");
        }
    }
}
