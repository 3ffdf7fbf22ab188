//! int8: a word is four elements. Weights are signed, with a scale for each output channel; activations are unsigned,
//! with a scale and a zero point for each token. Sums are exact 32-bit integers, so every kernel gives the same bits; one that
//! has smaller weights is apart, in `pairs.rs`.
//!
//! With `x ≈ s (u - z)` and `w ≈ t q`, `Σ x w ≈ s t (Σ u q - z Σ q)` (Jacob et al., "Quantization and Training of Neural
//! Networks for Efficient Integer-Arithmetic-Only Inference", 2017).

#[cfg(target_arch = "x86_64")]
use super::Family;
use super::tile::{Ahead, Line, Rows, Sums, TileKernel, portable};
#[cfg(target_arch = "x86_64")]
use super::tile::{COLUMNS, LINES, ROWS};
#[cfg(target_arch = "x86_64")]
use super::vector_tile::vector_tile;
use super::{math, multiversion};

/// Elements of a word.
pub const PER_WORD: usize = 4;

/// The longest inner dimension whose sums fit 32 bits, copies included: 255 · 127 · 2^15 · 33 / 32 < 2^31.
pub const MAX_INNER: usize = 1 << 15;

/// The ways to compute a tile here, the fastest first: of the family in use and those below it.
pub fn kernels() -> Vec<TileKernel<i32>> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if Family::in_use() >= Family::Avx512 && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the processor is of the family, which has AVX-512F, and has AVX512_VNNI.
            kernels.push(unsafe { TileKernel::new("AVX512_VNNI", x86::avx512) });
        }
        if Family::in_use() >= Family::AvxVnni && is_x86_feature_detected!("avxvnni") {
            // SAFETY: the processor is of a family that has AVX2, and has AVX-VNNI.
            kernels.push(unsafe { TileKernel::new("AVX-VNNI", x86::avx_vnni) });
        }
    }
    // SAFETY: plain Rust.
    kernels.push(unsafe { TileKernel::new("portable", plain) });
    kernels
}

/// A row of activations is `scale · (u - zero)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Affine {
    /// NaN where the row holds what is no finite number: so is then every product of it.
    pub scale: f32,
    /// 0 to 255.
    pub zero: i32,
}

/// 1.5 · 2^23: what is added to it is rounded to the nearest integer, which stands in its lowest bits.
pub const ROUND: f32 = 12_582_912.0;

multiversion! {
    /// Quantizes a row of f32 into words; what is left of the last word is 0.
    pub fn quantize_row(x: &[f32], words: &mut [u32], affine: &mut Affine) {
        let (low, high, finite) = math::range(x);
        let scale = (high - low) / 255.0;
        // A subnormal scale has no finite inverse: such a row is as good as zero.
        let inverse = if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
        let zero = (-low * inverse).round_ties_even();
        let (elements, rest) = bytemuck::cast_slice_mut::<u32, u8>(words).split_at_mut(x.len());
        for (element, x) in elements.iter_mut().zip(x) {
            *element = ((x * inverse + zero).clamp(0.0, 255.0) + ROUND).to_bits() as u8;
        }
        rest.fill(0);
        *affine = Affine { scale: if finite { scale } else { f32::NAN }, zero: zero as i32 };
    }
}

fn plain(rows: Rows<'_>, panel: &[Line], columns: usize, _: Option<&Ahead<'_>>, sums: &mut Sums<i32>) {
    portable(rows, panel, columns, sums, |sum, x, w| {
        let x = bytemuck::cast::<u32, [u8; 4]>(x);
        let w = bytemuck::cast::<u32, [i8; 4]>(w);
        x.iter().zip(w).fold(sum, |sum, (x, w)| sum + i32::from(*x) * i32::from(w))
    });
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_dpbusd_avx_epi32, _mm256_set1_epi32, _mm256_setzero_si256, _mm512_dpbusd_epi32,
        _mm512_set1_epi32, _mm512_setzero_si512,
    };

    use super::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, vector_tile};

    vector_tile!(
        pub avx512, "avx512f,avx512vnni", i32, __m512i, __m512i, 4, _mm512_setzero_si512(), _mm512_set1_epi32,
        |acc, x, w| _mm512_dpbusd_epi32(*acc, x, w)
    );

    vector_tile!(
        pub avx_vnni, "avx2,avxvnni", i32, __m256i, __m256i, 2, _mm256_setzero_si256(), _mm256_set1_epi32,
        |acc, x, w| _mm256_dpbusd_avx_epi32(*acc, x, w)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantized(x: &[f32]) -> (Vec<f32>, Affine) {
        let mut words = vec![u32::MAX; x.len().div_ceil(PER_WORD)];
        let mut affine = Affine::default();
        quantize_row(x, &mut words, &mut affine);
        let elements = bytemuck::cast_slice::<u32, u8>(&words);
        assert!(elements[x.len()..].iter().all(|u| *u == 0));
        let value = |u: &u8| affine.scale * (i32::from(*u) - affine.zero) as f32;
        (elements[..x.len()].iter().map(value).collect(), affine)
    }

    #[test]
    fn a_row_comes_back_within_half_a_step() {
        for x in [vec![0.0, 1.0, -0.3, 0.5, 0.25], vec![3.0], vec![-2.0, -1.0], vec![1e-20, -1e-20], vec![1e30, -1.0]] {
            let (back, affine) = quantized(&x);
            for (x, back) in x.iter().zip(back) {
                assert!((x - back).abs() <= affine.scale * 0.5001, "{x} came back as {back}, {affine:?}");
            }
        }
        assert_eq!(quantized(&[0.0; 9]).0, [0.0; 9]);
        assert_eq!(quantized(&[f32::from_bits(1), 0.0]).0, [0.0; 2]);
    }

    #[test]
    fn what_is_not_finite_poisons_its_row() {
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for n in [1, 5, 40] {
                let mut row = vec![1.0; n];
                row[n / 2] = x;
                assert!(quantized(&row).1.scale.is_nan(), "{x} among {n}");
            }
        }
    }
}
