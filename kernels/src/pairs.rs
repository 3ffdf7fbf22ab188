//! int8 where no instruction sums products of bytes in 32 bits: AVX2 and AVX-512 without VNNI multiply unsigned bytes by signed
//! ones and add pairs in 16 bits, which saturate.
//!
//! A pair fits them where its weights of one sign are 128 together at most, 255 · 128 being less than 2^15. So the largest pair
//! of an output's weights becomes 127, where elsewhere the largest weight does (two may be rounded up, by a half each): steps
//! are a quarter to a third larger where weights are as random as most are, and no sum is less than exact. FBGEMM sums in 16
//! bits, too, and takes apart what does not fit (Khudia et al., "FBGEMM: Enabling High-Performance Low-Precision Deep Learning
//! Inference", 2021); ONNX Runtime and oneDNN halve all weights.

#[cfg(target_arch = "x86_64")]
use super::Family;
use super::multiversion;
use super::tile::TileKernel;
#[cfg(target_arch = "x86_64")]
use super::tile::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums};
#[cfg(target_arch = "x86_64")]
use super::vector_tile::vector_tile;

/// Elements of a pair.
pub const PAIR: usize = 2;

/// The largest integer of which a pair has room for two.
pub const HALF: i32 = 64;

/// The ways to compute a tile here, the fastest first.
pub fn kernels() -> Vec<TileKernel<i32>> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "other processors have none"))]
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if Family::in_use() >= Family::Avx512 {
            // SAFETY: the processor is of the family, which has AVX-512F and BW.
            kernels.push(unsafe { TileKernel::new("AVX-512 pairs", x86::avx512) });
        }
        if Family::in_use() >= Family::Avx2 {
            // SAFETY: the processor is of the family, which has AVX2.
            kernels.push(unsafe { TileKernel::new("AVX2 pairs", x86::avx2) });
        }
    }
    kernels
}

multiversion! {
    /// Half the largest sum of a pair's positive weights, or of its negative ones, each weight held to `± reach`. It is finite
    /// where they are.
    pub fn largest_half(weights: &[f32], reach: f32, largest: &mut f32) {
        // Eight pairs side by side.
        let (chunks, rest) = weights.as_chunks::<16>();
        let mut last = [0.0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let mut most = [0f32; 8];
        for chunk in chunks.iter().chain([&last]) {
            let (pairs, _) = chunk.as_chunks::<PAIR>();
            for (most, [a, b]) in most.iter_mut().zip(pairs) {
                let above = 0.5 * a.clamp(0.0, reach) + 0.5 * b.clamp(0.0, reach);
                let below = 0.5 * (-a).clamp(0.0, reach) + 0.5 * (-b).clamp(0.0, reach);
                let half = if above > below { above } else { below };
                *most = if half > *most { half } else { *most };
            }
        }
        *largest = most.into_iter().fold(0.0, f32::max);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_setzero_si256, _mm512_add_epi32, _mm512_madd_epi16, _mm512_maddubs_epi16,
        _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setzero_si512,
    };

    use super::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, vector_tile};

    vector_tile!(
        pub avx512, "avx512f,avx512bw", i32, __m512i, __m512i, 4, _mm512_setzero_si512(), _mm512_set1_epi32,
        |acc, x, w| {
            let sums = _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1));
            _mm512_add_epi32(*acc, sums)
        }
    );
    vector_tile!(
        pub avx2, "avx2", i32, __m256i, __m256i, 2, _mm256_setzero_si256(), _mm256_set1_epi32,
        |acc, x, w| {
            let sums = _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1));
            _mm256_add_epi32(*acc, sums)
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[f32], reach: f32) -> f32 {
        let mut sum = 0.0;
        largest_half(weights, reach, &mut sum);
        2.0 * sum
    }

    #[test]
    fn every_pair_is_seen_with_its_signs() {
        for count in 1..70 {
            for at in 0..count {
                for sign in [1.0, -1.0] {
                    let mut weights = vec![sign; count];
                    weights[at] = 3.0 * sign;
                    let alone = at == count - 1 && count % 2 == 1;
                    assert_eq!(of(&weights, 9.0), if alone { 3.0 } else { 4.0 }, "{at} of {count}");
                    weights[at] = -3.0 * sign;
                    assert_eq!(of(&weights, 9.0), 3.0);
                }
            }
        }
    }

    #[test]
    fn each_weight_counts_as_far_as_it_reaches() {
        assert_eq!(of(&[3.0, 1.0], 2.0), 3.0);
        assert_eq!(of(&[-3.0, 1.0], 2.0), 2.0);
        assert_eq!(of(&[0.0; 9], 0.0), 0.0);
        assert_eq!(of(&[], 1.0), 0.0);
        let mut half = 0.0;
        largest_half(&[f32::MAX; 4], f32::MAX, &mut half);
        assert_eq!(half, f32::MAX);
    }
}
