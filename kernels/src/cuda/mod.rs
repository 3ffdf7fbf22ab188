//! A whole encoder on a GPU, over raw device memory: products by cuBLASLt, and our own kernels between them.
//!
//! [`GpuEncoder`] lays the weights out once. A forward of it is one upload, a list of launches into one arena, and one copy
//! back. Each kernel is the twin of a CPU kernel beside this folder. All work of a GPU goes through one stream, in the order
//! in which it is put there. What others use of this module has its like in `no_cuda.rs`.

mod encoder;
mod event;
mod facts;
mod functions;
mod gpu;
mod libraries;
mod memory;
mod products;
mod rate;
mod record;
mod staging;
mod trouble;
mod wait;

pub use encoder::GpuEncoder;
pub use gpu::Gpu;
pub use staging::Download;

/// Whether this build knows GPUs.
pub const AVAILABLE: bool = true;

#[cfg(test)]
mod tests;
