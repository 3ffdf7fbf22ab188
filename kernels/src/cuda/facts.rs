//! What a GPU says of itself.

use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::Gpu;
use super::functions::{Runs, embedded_for};
use super::libraries::driver_version;
use crate::{GpuCounters, GpuFacts, KernelTime};

impl Gpu {
    /// What it says of itself.
    pub fn facts(&self) -> GpuFacts {
        let number = |attribute| self.context().attribute(attribute).map_or(0, |value| value.unsigned_abs() as usize);
        let capability = self.capability().unwrap_or_default();
        let driver = driver_version();
        GpuFacts {
            card: self.card(),
            capability,
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            memory: self.context().total_mem().unwrap_or_default(),
            clock_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000,
            memory_clock_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) / 1000,
            driver: if driver == 0 { String::new() } else { format!("CUDA {}.{}", driver / 1000, driver % 1000 / 10) },
            code: match embedded_for(capability) {
                Some(Runs::Compiled(architecture)) => format!("sm_{architecture}"),
                Some(Runs::Ptx(_)) => "PTX".to_owned(),
                None => String::new(),
            },
        }
    }

    /// What was done on it since it was opened.
    pub fn counters(&self) -> GpuCounters {
        self.workshop().map_or_else(|_| GpuCounters::default(), |workshop| workshop.counters())
    }

    /// What the kernels of forwards took since this was last called, by events, if they were timed; from now on they are, or
    /// not. It costs speed. Nothing when the GPU fails, which the next forward says.
    pub fn timings(&self, on: bool) -> Vec<KernelTime> {
        let timings = || self.workshop()?.record.timings(on, self.context(), self.watch());
        timings().unwrap_or_default()
    }
}
