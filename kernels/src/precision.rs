//! In what layers multiply.

/// In what a layer multiplies. Sums are f32 in every case (int8: exact), and so is what the head gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32
    #[default]
    Float32,
    /// f16: on GPUs alone.
    Float16,
    /// bf16
    Bfloat16,
    /// 8-bit integers: a scale for each output channel, and for each token a scale and, on CPUs, a zero point.
    Int8,
    /// 8-bit floating point, e4m3, with a scale for each output channel and each token: on GPUs alone.
    Float8,
}

impl Precision {
    /// Each of them, the most precise first.
    pub const ALL: [Self; 5] = [Self::Float32, Self::Float16, Self::Bfloat16, Self::Int8, Self::Float8];
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Float32 => "f32",
            Self::Float16 => "f16",
            Self::Bfloat16 => "bf16",
            Self::Int8 => "int8",
            Self::Float8 => "fp8",
        })
    }
}
