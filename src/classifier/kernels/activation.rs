//! What follows a linear layer, element by element, while its outputs are in the first-level cache.
#![expect(clippy::inline_always, reason = "the kernels' loops vectorise only around inlined bodies")]

use super::math;

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
    /// Applies it to every value, in place.
    #[inline(always)]
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Gelu => each(values, math::gelu),
            Self::GeluTanh => each(values, math::gelu_tanh),
            Self::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Silu => each(values, |x| x / (1.0 + math::exp(-x))),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in values {
        *x = f(*x);
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
            for n in [0_usize, 1, 17, 1000] {
                let x = (Tensor::rand(-1f32, 1f32, n, &Device::Cpu)? * 9.0)?;
                let plain = plain(&x)?.to_vec1::<f32>()?;
                let mut ours = x.to_vec1::<f32>()?;
                activation.apply(&mut ours);
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
            let mut y = [-1e30f32, -50.0, 0.0, 50.0, 1e30, f32::NAN];
            activation.apply(&mut y);
            assert!(y[0].abs() < 1e-5 && y[1].abs() < 1e-5, "{activation:?}: {y:?}");
            assert!(y[2] == 0.0 && y[3] == 50.0 && y[4] == 1e30 && y[5].is_nan(), "{activation:?}: {y:?}");
        }
    }
}
