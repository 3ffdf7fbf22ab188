//! The only place that says where a model runs and in which precision.

use std::str::FromStr;

use candle_core::Device;

use super::kernels::Precision;
use crate::{Error, Result};

/// The device that the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best there is: this build knows the CPU alone.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

impl DeviceChoice {
    /// The device itself.
    ///
    /// # Errors
    /// When it is not to be had: nothing falls back silently.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(n) => Err(Error::Invalid(format!(
                "--device cuda:{n}: this build of textflight has no CUDA support; --device cpu runs it on the processor"
            ))),
        }
    }
}

/// The precision that the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DTypeChoice {
    /// The most precise: f32.
    #[default]
    Auto,
    /// f32
    F32,
    /// bf16, with sums in f32.
    Bf16,
    /// 8-bit integers, quantized at load and on the fly.
    Int8,
}

impl FromStr for DTypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "int8" => Ok(Self::Int8),
            "f16" => Err("f16 is for GPUs, and this build has no CUDA; expected auto, f32, bf16 or int8".to_owned()),
            _ => Err("expected auto, f32, bf16 or int8".to_owned()),
        }
    }
}

impl DTypeChoice {
    /// What the layers multiply in.
    pub const fn precision(self) -> Precision {
        match self {
            Self::Auto | Self::F32 => Precision::Float32,
            Self::Bf16 => Precision::Bfloat16,
            Self::Int8 => Precision::Int8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        assert!(DeviceChoice::Auto.open().is_ok_and(|d| d.is_cpu()));
        let error = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(error.contains("cuda:1"), "{error}");
    }

    #[test]
    fn reads_precisions() {
        assert_eq!("f32".parse(), Ok(DTypeChoice::F32));
        assert_eq!("bf16".parse(), Ok(DTypeChoice::Bf16));
        assert_eq!("int8".parse(), Ok(DTypeChoice::Int8));
        assert!("f16".parse::<DTypeChoice>().unwrap_err().contains("GPUs"));
        assert!("int4".parse::<DTypeChoice>().unwrap_err().contains("expected"));
    }
}
