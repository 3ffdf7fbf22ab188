//! f32: a word is one element.

use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use super::Family;
use super::tile::{Ahead, Line, Rows, Sums, TileKernel, portable};
#[cfg(target_arch = "x86_64")]
use super::tile::{COLUMNS, LINES, ROWS};
#[cfg(target_arch = "x86_64")]
use super::vector_tile::vector_tile;

/// The ways to compute a tile here, the fastest first: of the family in use and those below it.
pub fn kernels() -> Vec<TileKernel<f32>> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if Family::in_use() >= Family::Avx512 {
            // SAFETY: the processor is of the family, which has AVX-512F.
            kernels.push(unsafe { TileKernel::new("AVX-512", x86::avx512) });
        }
        if Family::in_use() >= Family::Avx2 {
            // SAFETY: the processor is of the family, which has AVX2 and FMA.
            kernels.push(unsafe { TileKernel::new("AVX2", x86::avx2) });
        }
    }
    // SAFETY: plain Rust.
    kernels.push(unsafe { TileKernel::new("portable", plain) });
    kernels
}

/// The fastest of them, looked up once.
pub fn fastest() -> TileKernel<f32> {
    static FASTEST: LazyLock<TileKernel<f32>> = LazyLock::new(|| kernels()[0]);
    *FASTEST
}

fn plain(rows: Rows<'_>, panel: &[Line], columns: usize, _: Option<&Ahead<'_>>, sums: &mut Sums<f32>) {
    portable(rows, panel, columns, sums, |sum, x, w| sum + f32::from_bits(x) * f32::from_bits(w));
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256i, __m512, __m512i, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_set1_epi32, _mm256_setzero_ps,
        _mm512_castsi512_ps, _mm512_fmadd_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };

    use super::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, vector_tile};

    vector_tile!(
        pub avx512, "avx512f", f32, __m512, __m512i, 4, _mm512_setzero_ps(), _mm512_set1_epi32,
        |acc, x, w| _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), *acc)
    );
    vector_tile!(
        pub avx2, "avx2,fma", f32, __m256, __m256i, 2, _mm256_setzero_ps(), _mm256_set1_epi32,
        |acc, x, w| _mm256_fmadd_ps(_mm256_castsi256_ps(x), _mm256_castsi256_ps(w), *acc)
    );
}
