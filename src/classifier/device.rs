//! The devices and precisions that an operator can ask for, and what is to be had of them.

use std::path::PathBuf;
use std::str::FromStr;

use tracing::warn;

use super::kernels::cuda::{self, Gpu};
use super::kernels::{Fault, Place, Precision};
use crate::{Error, Result};

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(text) => Self::Invalid(text),
            Fault::OutOfMemory(text) => Self::OutOfMemory(text),
            Fault::Failed(text) => Self::Failed(text),
            Fault::Lost(text) => Self::Stopped(text),
        }
    }
}

/// The devices that the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best there is: the first GPU, where the build knows GPUs and the machine has one.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPUs of these numbers.
    Cuda(Vec<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => {
                let gpus: Option<Vec<usize>> = text.split(',').map(gpu).collect();
                let gpus = gpus.ok_or("expected auto, cpu, cuda, cuda:N, or several as cuda:0,cuda:1")?;
                match gpus.iter().enumerate().find(|(at, gpu)| gpus[..*at].contains(gpu)) {
                    Some((_, twice)) => Err(format!("cuda:{twice} is named twice")),
                    None => Ok(Self::Cuda(gpus)),
                }
            }
        }
    }
}

fn gpu(text: &str) -> Option<usize> {
    match text {
        "cuda" => Some(0),
        _ => text.strip_prefix("cuda:")?.parse().ok(),
    }
}

impl DeviceChoice {
    /// The devices themselves; `libraries` is where CUDA's are, if not where the system has them.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one is not to be had: nothing falls back silently.
    pub fn open(&self, libraries: Option<&PathBuf>) -> Result<Vec<Place>> {
        match self {
            Self::Auto if cuda::AVAILABLE => Ok(vec![best(libraries)]),
            Self::Auto | Self::Cpu => Ok(vec![Place::Cpu]),
            Self::Cuda(gpus) => gpus.iter().map(|gpu| open_gpu(*gpu, libraries)).collect(),
        }
    }
}

fn open_gpu(index: usize, libraries: Option<&PathBuf>) -> Result<Place> {
    let gpu = Gpu::get(index, libraries.map(PathBuf::as_path))
        .map_err(|e| Error::Invalid(format!("--device cuda:{index}: {e}; --device cpu runs it on the processor")))?;
    Ok(Place::Gpu(gpu))
}

fn best(libraries: Option<&PathBuf>) -> Place {
    open_gpu(0, libraries).unwrap_or_else(|error| {
        warn!(%error, "--device auto: no GPU can be used, the model runs on the processor");
        Place::Cpu
    })
}

/// The precision that the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DTypeChoice {
    /// f32 on the CPU; on a GPU f16, or f32 where it has no fast f16.
    #[default]
    Auto,
    /// This one.
    Exactly(Precision),
}

impl FromStr for DTypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::Exactly(Precision::Float32)),
            "f16" => Ok(Self::Exactly(Precision::Float16)),
            "bf16" => Ok(Self::Exactly(Precision::Bfloat16)),
            "int8" => Ok(Self::Exactly(Precision::Int8)),
            "fp8" => Ok(Self::Exactly(Precision::Float8)),
            _ => Err("expected auto, f32, f16, bf16, int8 or fp8".to_owned()),
        }
    }
}

impl DTypeChoice {
    /// What the layers multiply in on this device.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the device does not have it.
    pub fn precision(self, place: &Place) -> Result<Precision> {
        match place {
            Place::Cpu => match self {
                Self::Auto => Ok(Precision::Float32),
                Self::Exactly(precision @ (Precision::Float16 | Precision::Float8)) => Err(Error::Invalid(format!(
                    "--dtype {precision} is for GPUs, and the model runs on the CPU: auto, f32, bf16 or int8 will do"
                ))),
                Self::Exactly(precision) => Ok(precision),
            },
            Place::Gpu(gpu) => self.on_gpu(&place.name(), gpu.capability()?),
        }
    }

    fn on_gpu(self, name: &str, (major, minor): (i32, i32)) -> Result<Precision> {
        let least = |precision| match precision {
            Precision::Float32 => (0, 0),
            Precision::Float16 | Precision::Int8 => (7, 5),
            Precision::Bfloat16 => (8, 0),
            Precision::Float8 => (8, 9),
        };
        let has = |precision| (major, minor) >= least(precision);
        match self {
            Self::Auto if has(Precision::Float16) => Ok(Precision::Float16),
            Self::Auto => Ok(Precision::Float32),
            Self::Exactly(precision) if has(precision) => Ok(precision),
            Self::Exactly(precision) => {
                let (least, of) = least(precision);
                Err(Error::Invalid(format!(
                    "--dtype {precision} takes a GPU of compute capability {least}.{of}, and {name} has {major}.{minor}: \
                     auto or f32 will do"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(vec![0])));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(vec![3])));
        assert_eq!("cuda:1,cuda:0".parse(), Ok(DeviceChoice::Cuda(vec![1, 0])));
        for wrong in ["cuda:x", "gpu", "", "cuda:0,", "cuda:0,cpu", "0", "cuda:-1"] {
            assert!(wrong.parse::<DeviceChoice>().unwrap_err().contains("expected"), "{wrong}");
        }
        assert_eq!("cuda:1,cuda,cuda:0".parse::<DeviceChoice>(), Err("cuda:0 is named twice".to_owned()));
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_gpu_that_is_not_there_is_an_error() {
        assert!(matches!(DeviceChoice::Auto.open(None).unwrap()[..], [Place::Cpu]));
        let error = DeviceChoice::Cuda(vec![1]).open(None).err().unwrap().to_string();
        assert!(error.contains("cuda:1") && error.contains("no CUDA support"), "{error}");
    }

    #[test]
    fn reads_precisions() {
        assert_eq!("auto".parse(), Ok(DTypeChoice::Auto));
        assert_eq!("f32".parse(), Ok(DTypeChoice::Exactly(Precision::Float32)));
        assert_eq!("bf16".parse(), Ok(DTypeChoice::Exactly(Precision::Bfloat16)));
        assert_eq!("int8".parse(), Ok(DTypeChoice::Exactly(Precision::Int8)));
        assert_eq!("fp8".parse(), Ok(DTypeChoice::Exactly(Precision::Float8)));
        assert!("int4".parse::<DTypeChoice>().unwrap_err().contains("expected"));
    }

    #[test]
    fn the_cpu_has_no_f16_and_no_fp8() {
        assert_eq!(DTypeChoice::Auto.precision(&Place::Cpu).unwrap(), Precision::Float32);
        for precision in [Precision::Float16, Precision::Float8] {
            let error = DTypeChoice::Exactly(precision).precision(&Place::Cpu).unwrap_err().to_string();
            assert!(error.contains(&format!("--dtype {precision} is for GPUs")), "{error}");
        }
    }

    #[test]
    fn a_gpu_has_what_its_capability_says() {
        let on = |dtype: &str, capability| dtype.parse::<DTypeChoice>().unwrap().on_gpu("cuda:0", capability);
        assert_eq!(on("auto", (9, 0)).unwrap(), Precision::Float16);
        assert_eq!(on("auto", (7, 5)).unwrap(), Precision::Float16);
        assert_eq!(on("auto", (7, 0)).unwrap(), Precision::Float32);
        assert_eq!(on("bf16", (8, 0)).unwrap(), Precision::Bfloat16);
        let error = on("bf16", (7, 5)).unwrap_err().to_string();
        assert!(error.contains("8.0") && error.contains("cuda:0 has 7.5"), "{error}");
        assert_eq!(on("int8", (7, 5)).unwrap(), Precision::Int8);
        assert_eq!(on("fp8", (8, 9)).unwrap(), Precision::Float8);
        assert!(on("fp8", (8, 6)).unwrap_err().to_string().contains("8.9, and cuda:0 has 8.6"));
        assert!(on("int8", (7, 0)).is_err());
    }
}
