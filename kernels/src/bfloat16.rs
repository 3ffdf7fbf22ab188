//! bf16: a word is two elements, rounded to the nearest; sums are f32. See `widened.rs` for what does without its instruction.

#[cfg(target_arch = "x86_64")]
use super::Family;
use super::multiversion;
use super::tile::{Ahead, Line, Rows, Sums, TileKernel, portable};
#[cfg(target_arch = "x86_64")]
use super::tile::{COLUMNS, LINES, ROWS};
#[cfg(target_arch = "x86_64")]
use super::vector_tile::vector_tile;

/// Elements of a word.
pub const PER_WORD: usize = 2;

/// The ways to compute a tile here, the fastest first: of the family in use and those below it.
pub fn kernels() -> Vec<TileKernel<f32>> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if Family::in_use() >= Family::Avx512 && is_x86_feature_detected!("avx512bf16") {
            // SAFETY: the processor is of the family, which has AVX-512F, and has AVX512_BF16.
            kernels.push(unsafe { TileKernel::new("AVX512_BF16", x86::avx512) });
        }
    }
    // SAFETY: plain Rust.
    kernels.push(unsafe { TileKernel::new("portable", plain) });
    kernels
}

/// Whether the processor's own instruction is faster than f32. Intel's takes twice the time of a multiply-add, for twice as
/// much, and leaves the speed of bf16 to AMX; AMD's takes the same. By the vendor, never by a timing: both ways round
/// differently, and two starts must give the same bits.
pub fn has_fast_dot_product() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let cpuid = std::arch::x86_64::__cpuid(0);
        let vendor = [cpuid.ebx, cpuid.edx, cpuid.ecx].map(u32::to_le_bytes);
        is_x86_feature_detected!("avx512bf16") && vendor.as_flattened() != b"GenuineIntel"
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The nearest bf16, ties to even, as its bits; a NaN stays one.
#[expect(clippy::inline_always, reason = "a loop vectorises only around an inlined body")]
#[inline(always)]
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

multiversion! {
    /// Rounds a row of f32 into words; what is left of the last word is 0.
    pub fn round_row(x: &[f32], words: &mut [u32]) {
        let (elements, rest) = bytemuck::cast_slice_mut::<u32, u16>(words).split_at_mut(x.len());
        for (element, x) in elements.iter_mut().zip(x) {
            *element = round(*x);
        }
        rest.fill(0);
    }
}

fn plain(rows: Rows<'_>, panel: &[Line], columns: usize, _: Option<&Ahead<'_>>, sums: &mut Sums<f32>) {
    let widen = |word: u32| bytemuck::cast::<u32, [u16; 2]>(word).map(|x| f32::from_bits(u32::from(x) << 16));
    portable(rows, panel, columns, sums, |sum, x, w| {
        let ([x0, x1], [w0, w1]) = (widen(x), widen(w));
        sum + x0 * w0 + x1 * w1
    });
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps};

    use super::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, vector_tile};

    vector_tile!(
        pub avx512, "avx512f,avx512bf16", f32, __m512, __m512i, 4, _mm512_setzero_ps(), _mm512_set1_epi32,
        |acc, x, w| _mm512_dpbf16_ps(*acc, as_bf16(x), as_bf16(w))
    );

    #[target_feature(enable = "avx512f")]
    fn as_bf16(words: __m512i) -> __m512bh {
        // SAFETY: both types are 512 bits, and all bits are values of either.
        unsafe { std::mem::transmute(words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_even() {
        let value = |x: f32| f32::from_bits(u32::from(round(x)) << 16);
        for (x, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0),
            (-0.0, -0.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
        ] {
            assert_eq!(value(x).to_bits(), expected.to_bits(), "{x}");
        }
        assert!(value(f32::NAN).is_nan() && value(f32::from_bits(0x7fff_ffff)).is_nan());
    }
}
