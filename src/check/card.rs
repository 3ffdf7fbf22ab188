//! What a GPU's driver says of it.

use serde::Serialize;

use crate::classifier::kernels::{GpuFacts, Place};

/// A GPU. What its driver does not say is 0 or empty.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// Compute capability: `9.0` for an H100.
    pub capability: String,
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// In GiB.
    pub memory_gib: f64,
    /// The highest that it goes to, in MHz.
    pub clock_mhz: usize,
    /// Its memory's, in MHz.
    pub memory_clock_mhz: usize,
    /// The version of CUDA that the driver has.
    pub driver: String,
    /// What the kernels were loaded as: `sm_90`, or `PTX` where the driver compiled it.
    pub code: String,
}

impl Card {
    /// Nothing on the CPU.
    pub fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Cpu => None,
            Place::Gpu(gpu) => Some(Self::new(gpu.facts())),
        }
    }

    fn new(facts: GpuFacts) -> Self {
        let (major, minor) = facts.capability;
        Self {
            capability: format!("{major}.{minor}"),
            multiprocessors: facts.multiprocessors,
            memory_gib: facts.memory as f64 / f64::from(1 << 30),
            clock_mhz: facts.clock_mhz,
            memory_clock_mhz: facts.memory_clock_mhz,
            driver: facts.driver,
            code: facts.code,
        }
    }
}
