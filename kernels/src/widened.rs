//! bf16 where no instruction multiplies it, or a slow one: weights of 16 bits, which plain multiply-adds take as f32.
//!
//! A word is two weights. What stands in memory from its middle on, or from the middle of the word before, is a f32 whose
//! upper half is a weight; its lower half is the weight before. So nothing is computed to widen a weight: it is
//! read. [`pack`] knows what the lower half will be, and chooses the upper one that comes nearest. A weight is as far off as
//! one rounded to bf16 can be, half a step, and activations stay f32.

#[cfg(target_arch = "x86_64")]
use super::Family;
#[cfg(target_arch = "x86_64")]
use super::tile::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums};
use super::tile::{Panels, TileKernel};
#[cfg(target_arch = "x86_64")]
use super::wide_tile::wide_tile;

/// Weights of a word.
pub const PER_WORD: usize = 2;

/// The ways to compute a tile here, the fastest first. A row is f32, two words for a step. All give the same bits.
pub fn kernels() -> Vec<TileKernel<f32>> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "other processors have none"))]
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if Family::in_use() >= Family::Avx512 {
            // SAFETY: the processor is of the family, which has AVX-512F.
            kernels.push(unsafe { TileKernel::wide("AVX-512 widened", x86::avx512) });
        }
        if Family::in_use() >= Family::Avx2 {
            // SAFETY: the processor is of the family, which has AVX2 and FMA.
            kernels.push(unsafe { TileKernel::wide("AVX2 widened", x86::avx2) });
        }
    }
    kernels
}

/// Lays out `weight [out, inner]`; what is beyond `inner` in the last word is next to 0.
pub fn pack(weight: &[f32], inner: usize, panels: &mut Panels) {
    panels.reset(inner.div_ceil(PER_WORD), weight.len() / inner);
    let mut before = 0;
    panels.fill(|step, column| {
        let value = |input| if input < inner { weight.get(column * inner + input).copied() } else { None };
        let [low, high] = [0, 1].map(|of_word| value(step * PER_WORD + of_word).unwrap_or(0.0));
        // There is nothing before the first step of a panel: kernels shift zeros in.
        let low = nearest(low, if step == 0 { 0 } else { before });
        before = nearest(high, low);
        u32::from(before) << 16 | u32::from(low)
    });
}

/// A row of an odd number of values, with a zero behind them.
pub fn pad_row(x: &[f32], padded: &mut [f32]) {
    let (values, rest) = padded.split_at_mut(x.len());
    values.copy_from_slice(x);
    rest.fill(0.0);
}

/// The upper half of the f32 nearest to `x` whose lower half is `rest`. It is never subnormal, which some processors take long
/// over: 0 becomes ± 2^-100.
fn nearest(x: f32, rest: u16) -> u16 {
    const LEAST: u32 = (127 - 100) << 7;
    const MOST: u32 = f32::MAX.to_bits() >> 16;
    if !x.is_finite() {
        return (f32::NAN.to_bits() >> 16) as u16;
    }
    let magnitude = (x.abs().to_bits() + 0x8000).saturating_sub(u32::from(rest));
    let sign = (x.to_bits() >> 31 << 15) as u16;
    sign | (magnitude >> 16).clamp(LEAST, MOST) as u16
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_slli_epi32, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_fmadd_ps, _mm512_set1_ps,
        _mm512_setzero_ps, _mm512_slli_epi32,
    };

    use super::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, wide_tile};

    wide_tile!(
        pub avx512, "avx512f", __m512, 4, _mm512_setzero_ps(), _mm512_set1_ps,
        |from, step, part| match (step, part) {
            (0, 0) => from.read().map(|w| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(w)))),
            // After the first step there are weights before these.
            (_, 0) => from.byte_sub(2).read_unaligned(),
            _ => from.read(),
        },
        |acc, x, w| _mm512_fmadd_ps(x, w, *acc)
    );
    wide_tile!(
        pub avx2, "avx2,fma", __m256, 2, _mm256_setzero_ps(), _mm256_set1_ps,
        |from, step, part| match (step, part) {
            (0, 0) => from.read().map(|w| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(w)))),
            (_, 0) => from.byte_sub(2).read_unaligned(),
            _ => from.read(),
        },
        |acc, x, w| _mm256_fmadd_ps(x, w, *acc)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_within_half_a_step_whatever_its_lower_half() {
        for x in [1.0, -1.0, 0.017_3, -3.3, 65_504.0, 1e-20, f32::MIN_POSITIVE, 0.0, -0.0, 1.0 - f32::EPSILON] {
            for rest in [0, 1, 0x7fff, 0x8000, 0x8001, 0xc123, 0xffff] {
                let value = f32::from_bits(u32::from(nearest(x, rest)) << 16 | u32::from(rest));
                // bf16 has 8 bits: half of a step is within 2^-8 of any number.
                assert!((value - x).abs() <= x.abs() / 256.0 + 2e-30, "{x} with {rest:x} became {value}");
                assert!(value.is_normal() && value.is_sign_negative() == x.is_sign_negative());
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_no_number_and_what_is_stays_so() {
        for rest in [0, 0x1234, 0xffff] {
            let value = |x| f32::from_bits(u32::from(nearest(x, rest)) << 16 | u32::from(rest));
            assert!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().all(|x| value(x).is_nan()));
            assert!(value(f32::MAX).is_finite() && value(f32::MIN).is_finite());
        }
    }
}
