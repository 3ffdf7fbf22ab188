//! GELU in its exact form, `x · (1 + erf(x / √2)) / 2`, in place.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};

use super::{f32_slice_mut, math, multiversion};

/// Applies erf-GELU to every element of `x`, in place.
///
/// # Errors
/// When `x` is not a contiguous f32 tensor on the CPU.
pub fn gelu(x: &Tensor) -> Result<()> {
    x.inplace_op1(&Gelu)
}

struct Gelu;

impl InplaceOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        gelu_slice(f32_slice_mut(storage, layout)?);
        Ok(())
    }
}

multiversion! {
    fn gelu_slice(values: &mut [f32]) {
        for x in values {
            *x = 0.5 * *x * (1.0 + math::erf(*x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn equals_candle() -> Result<()> {
        for n in [0_usize, 1, 3, 16, 17, 1000] {
            let x = (Tensor::rand(-1f32, 1f32, n, &Device::Cpu)? * 8.0)?;
            let plain = x.gelu_erf()?.to_vec1::<f32>()?;
            gelu(&x)?;
            for (ours, plain) in x.to_vec1::<f32>()?.iter().zip(plain) {
                assert!((ours - plain).abs() < 2e-6, "{ours} is not {plain}");
            }
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = Tensor::new(&[-1e30f32, -50.0, 0.0, 50.0, 1e30], &Device::Cpu)?;
        gelu(&x)?;
        let y = x.to_vec1::<f32>()?;
        assert!(y[1].abs() < 1e-5 && y[2] == 0.0 && y[3] == 50.0 && y[4] == 1e30, "{y:?}");
        Ok(())
    }
}
