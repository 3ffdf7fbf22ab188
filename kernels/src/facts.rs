//! What a GPU says of itself, and what is counted and timed there. Plain data.

use std::time::Duration;

/// What a GPU says of itself. A number is 0, and a text empty, where its driver does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuFacts {
    /// What the card is called.
    pub card: String,
    /// (7, 5) for a T4, (9, 0) for an H100.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Bytes.
    pub memory: usize,
    /// The highest that it goes to, in MHz.
    pub clock_mhz: usize,
    /// Its memory's, in MHz.
    pub memory_clock_mhz: usize,
    /// The version of CUDA that the driver has, as `CUDA 12.4`.
    pub driver: String,
    /// What the kernels were loaded as: `sm_90`, or `PTX` where the driver compiled it.
    pub code: String,
}

/// What was done on a GPU since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuCounters {
    /// Forwards that were put into the stream.
    pub forwards: u64,
    /// Our kernels.
    pub launches: u64,
    /// Products by a library.
    pub products: u64,
    /// Copies to the device.
    pub uploads: u64,
    /// Copies back.
    pub downloads: u64,
    /// Calls for device memory.
    pub allocations: u64,
    /// Questions to a library which of its kernels suits a product.
    pub heuristics: u64,
    /// What the forwards took of the threads that put them into the stream.
    pub host: Duration,
}

/// What kernels of one kind took of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelTime {
    /// What they do: `product`, `attention`.
    pub kind: &'static str,
    /// How many.
    pub calls: u64,
    /// All of them together.
    pub time: Duration,
}
