//! The types of values that kernels exist for.

use candle_core::DType;
use cudarc::driver::DriverError;

use super::module::REFUSED;
use super::{Function, Module};

/// What a matrix's values are, in memory. Sums are f32 with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    /// As candle has it; none where no kernel is for that.
    pub const fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// Of a value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Values in 16 bytes.
    pub const fn vector(self) -> usize {
        16 / self.bytes()
    }

    /// The end of a kernel's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// A kernel that there is for each type: `NAME_f32` and so on.
pub struct OfElement([Function; 3]);

impl OfElement {
    /// Looks it up.
    pub fn of(module: &Module, name: &str) -> Result<Self, DriverError> {
        let one = |element: Element| module.function(&format!("{name}_{}", element.suffix()));
        Ok(Self([one(Element::F32)?, one(Element::F16)?, one(Element::Bf16)?]))
    }

    /// The one for values of a type.
    pub const fn get(&self, element: Element) -> Function {
        self.0[element as usize]
    }
}

/// A kernel that there is for each type of 16 bits.
pub struct OfHalves([Function; 2]);

impl OfHalves {
    /// Looks it up.
    pub fn of(module: &Module, name: &str) -> Result<Self, DriverError> {
        let one = |element: Element| module.function(&format!("{name}_{}", element.suffix()));
        Ok(Self([one(Element::F16)?, one(Element::Bf16)?]))
    }

    /// The one for values of a type.
    ///
    /// # Errors
    /// For f32.
    pub const fn get(&self, element: Element) -> Result<Function, DriverError> {
        match element {
            Element::F32 => Err(REFUSED),
            Element::F16 => Ok(self.0[0]),
            Element::Bf16 => Ok(self.0[1]),
        }
    }
}
