//! What `textflight` multiplies with: kernels behind candle's custom ops, one a file, each beside the plain candle version
//! that its tests hold it to.
//!
//! They run on the CPU. With the feature `cuda` a whole encoder runs on GPUs: see `cuda/`, whose face is the same without it,
//! in `no_cuda.rs`, and whose types nobody can make there. On the CPU all products, those of attention included, are made of
//! the tiles of `tile.rs`, in the precisions of `float32.rs`, `bfloat16.rs` and `int8.rs`, or of `widened.rs` and `pairs.rs`
//! where a processor has no instructions for the latter two. Which ones they may use is settled once, in `family.rs`.
//!
//! On the CPU a forward can be shared out among the threads of a [`Team`].
//!
//! Two rules make a text's scores independent of its neighbours to the bit: a kernel computes every output row from
//! that row's input alone, and the order of its sums depends on the row's own shape, never on how many rows there are.

mod absorbed_attention;
mod activation;
mod attention;
mod bfloat16;
mod block;
mod channels;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
pub mod cuda;
mod embedding;
mod facts;
mod family;
mod fault;
mod float32;
mod int8;
mod layer_norm;
mod math;
mod packed_attention;
mod packed_feed_forward;
mod packed_linear;
mod pairs;
mod place;
mod precision;
mod ragged;
mod team;
#[cfg(test)]
mod testing;
mod tile;
mod vector_tile;
mod weights;
mod wide_tile;
mod widened;

pub use absorbed_attention::AbsorbedAttention;
pub use activation::Activation;
pub use attention::attention;
pub use embedding::Embedding;
pub use facts::{GpuCounters, GpuFacts, KernelTime};
pub use family::Family;
pub use fault::Fault;
pub use layer_norm::LayerNorm;
pub use packed_attention::PackedAttention;
pub use packed_feed_forward::PackedFeedForward;
pub use packed_linear::{Kernel, PackedLinear};
pub use place::{Logits, Place, cause};
pub use precision::Precision;
pub use ragged::Ragged;
pub use team::{Team, TeamHandle};
pub use weights::{Affine, AttentionWeights, EmbeddingWeights, EncoderShape, LayerWeights};

use candle_core::{CpuStorage, Layout, Result, Storage, bail};

/// The elements of a contiguous f32 tensor.
fn f32_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("expected f32, got {:?}", storage_dtype(storage));
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("expected a contiguous tensor, got {layout:?}"),
    }
}

/// The elements of a contiguous f32 tensor that is read outside of candle's operations, by its storage.
fn tensor_slice<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => f32_slice(storage, layout),
        _ => bail!("expected a tensor on the CPU"),
    }
}

/// The elements of a contiguous f32 tensor, to write.
fn f32_slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let dtype = storage_dtype(storage);
    let CpuStorage::F32(values) = storage else {
        bail!("expected f32, got {dtype:?}");
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&mut values[start..end]),
        None => bail!("expected a contiguous tensor, got {layout:?}"),
    }
}

fn storage_dtype(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// Compiles `$body` three times, for AVX-512, for AVX2 with FMA and for the build's own target, and picks by [`Family::in_use`].
/// The body is the same Rust in all three: the compiler vectorises it as wide as the processor allows.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn portable($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
                fn avx512($($arg: $ty),*) { portable($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) { portable($($arg),*) }
                match $crate::Family::in_use() {
                    // SAFETY: the processor has the features that the function is compiled for.
                    $crate::Family::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Family::AvxVnni | $crate::Family::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::Family::Portable => {}
                }
            }
            portable($($arg),*)
        }
    };
}
use multiversion;
