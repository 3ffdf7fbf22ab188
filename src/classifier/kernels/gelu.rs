//! GELU in its exact form, `x · (1 + erf(x / √2)) / 2`.

use super::{math, multiversion};

multiversion! {
    /// Applies erf-GELU to every value, in place.
    pub fn gelu(values: &mut [f32]) {
        for x in values {
            *x = 0.5 * *x * (1.0 + math::erf(*x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::*;

    #[test]
    fn equals_candle() -> Result<()> {
        for n in [0_usize, 1, 3, 16, 17, 1000] {
            let x = (Tensor::rand(-1f32, 1f32, n, &Device::Cpu)? * 8.0)?;
            let plain = x.gelu_erf()?.to_vec1::<f32>()?;
            let mut ours = x.to_vec1::<f32>()?;
            gelu(&mut ours);
            for (ours, plain) in ours.iter().zip(plain) {
                assert!((ours - plain).abs() < 2e-6, "{ours} is not {plain}");
            }
        }
        Ok(())
    }

    #[test]
    fn extremes() {
        let mut y = [-1e30f32, -50.0, 0.0, 50.0, 1e30, f32::NAN];
        gelu(&mut y);
        assert!(y[1].abs() < 1e-5 && y[2] == 0.0 && y[3] == 50.0 && y[4] == 1e30 && y[5].is_nan(), "{y:?}");
    }
}
