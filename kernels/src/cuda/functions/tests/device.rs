//! A device to test on, and values in its memory.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use cudarc::driver::sys::CUstream;
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DeviceRepr};
use half::{bf16, f16};

use super::super::{Element, Functions};
use crate::cuda::libraries;

pub struct Device {
    pub functions: Functions,
    stream: Arc<CudaStream>,
}

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let folder = std::env::var_os("TEXTFLIGHT_CUDA_LIBRARIES").map(PathBuf::from);
    libraries::load(folder.as_deref()).unwrap();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: a single stream has all the work.
    unsafe { context.disable_event_tracking() };
    Device { functions: Functions::load(&context).unwrap(), stream: context.new_stream().unwrap() }
});

/// The device, whose context is this thread's from now on.
pub fn device() -> &'static Device {
    DEVICE.stream.context().bind_to_thread().unwrap();
    &DEVICE
}

impl Device {
    pub fn stream(&self) -> CUstream {
        self.stream.cu_stream()
    }
}

/// Memory of the device with values in it.
pub struct There<T> {
    slice: CudaSlice<T>,
    count: usize,
}

impl<T: DeviceRepr + Copy> There<T> {
    pub fn of(values: &[T]) -> Self {
        let stream = &device().stream;
        // SAFETY: one value at least, so that there is an address; where none is copied none is read.
        let mut slice = unsafe { stream.alloc::<T>(values.len().max(1)) }.unwrap();
        if !values.is_empty() {
            stream.memcpy_htod(values, &mut slice).unwrap();
        }
        Self { slice, count: values.len() }
    }

    /// Not written yet: the emulator has NaN there.
    pub fn empty(count: usize) -> Self {
        // SAFETY: a kernel is to write it.
        let slice = unsafe { device().stream.alloc::<T>(count.max(1)) }.unwrap();
        Self { slice, count }
    }

    pub fn address(&self) -> u64 {
        self.slice.device_ptr(&device().stream).0
    }

    pub fn read(&self) -> Vec<T> {
        let mut values = device().stream.clone_dtoh(&self.slice).unwrap();
        device().stream.synchronize().unwrap();
        values.truncate(self.count);
        values
    }
}

/// f32 values on the CPU, of a type on the device.
pub struct Values {
    element: Element,
    bytes: There<u8>,
}

impl Values {
    /// The values, which the type must have (see [`rounded`]).
    pub fn of(element: Element, values: &[f32]) -> Self {
        let bytes: Vec<u8> = match element {
            Element::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Element::F16 => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            Element::Bf16 => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        };
        Self { element, bytes: There::of(&bytes) }
    }

    pub fn empty(element: Element, count: usize) -> Self {
        Self { element, bytes: There::empty(count * element.bytes()) }
    }

    pub fn address(&self) -> u64 {
        self.bytes.address()
    }

    pub fn read(&self) -> Vec<f32> {
        let bytes = self.bytes.read();
        match self.element {
            Element::F32 => bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect(),
            Element::F16 => bytes.chunks_exact(2).map(|x| f16::from_le_bytes(x.try_into().unwrap()).to_f32()).collect(),
            Element::Bf16 => {
                bytes.chunks_exact(2).map(|x| bf16::from_le_bytes(x.try_into().unwrap()).to_f32()).collect()
            }
        }
    }
}

/// The nearest value that the type has.
pub fn rounded(element: Element, x: f32) -> f32 {
    match element {
        Element::F32 => x,
        Element::F16 => f16::from_f32(x).to_f32(),
        Element::Bf16 => bf16::from_f32(x).to_f32(),
    }
}

/// As good as random, and always the same: sums of three uniform numbers, whose deviation is `deviation`.
pub struct Noise(pub u64);

impl Noise {
    fn uniform(&mut self) -> f32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn values(&mut self, element: Element, count: usize, deviation: f32) -> Vec<f32> {
        let mut one = || rounded(element, (self.uniform() + self.uniform() + self.uniform()) * deviation);
        (0..count).map(|_| one()).collect()
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.uniform().midpoint(1.0) * limit as f32) as usize % limit
    }
}
