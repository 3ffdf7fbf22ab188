//! Products of 8 bits: rows into 8 bits with a scale each, and what comes after such a product. What is not of 8 bits is of
//! 16 beside them: f32 is refused.

use cudarc::driver::{DriverError, sys::CUstream};

use super::element::{Element, OfHalves};
use super::linear::over_matrix;
use super::module::{Module, Shape, blocks, int, parameters};
use super::norm::{choose, in_registers};
use crate::Activation;

/// What 8 bits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EightBits {
    /// Whole numbers from -127 to 127. Their products' sums are i32.
    Int8,
    /// 1 sign, 4 exponent and 3 mantissa bits, up to 448, without infinities. Their products' sums are f16, multiplied by
    /// 2⁻¹⁰.
    E4m3,
}

impl EightBits {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::E4m3 => "e4m3",
        }
    }
}

/// `x ≈ q · scale` for each row, by its largest value. A row of zeros has the scale 0.
pub struct QuantizeRows {
    pub element: Element,
    pub into: EightBits,
    /// `[rows, width]`
    pub x: u64,
    /// `[rows, width]`, a byte each: written.
    pub q: u64,
    /// `[rows]`, f32: written.
    pub scales: u64,
    pub rows: usize,
    pub width: usize,
}

/// What a product of 8 bits left: `sums · row_scale · column_scale`.
#[expect(clippy::struct_field_names, reason = "a part is called as all of them are")]
pub struct Sums {
    pub of: EightBits,
    /// `[rows, width]`: i32, or f16 · 2⁻¹⁰
    pub sums: u64,
    /// `[rows]`, f32: those of the input
    pub row_scales: u64,
    /// `[width]`, f32: those of the weights
    pub column_scales: u64,
}

/// `out = f(sums + bias)`
pub struct ScaledBiasActivation {
    pub element: Element,
    pub sums: Sums,
    /// `[width]`
    pub bias: u64,
    /// `[rows, width]`: written.
    pub out: u64,
    pub rows: usize,
    pub width: usize,
    pub activation: Activation,
}

/// `out = LayerNorm(sums + bias + residual)`
pub struct ScaledAddNorm {
    pub element: Element,
    pub sums: Sums,
    /// `[width]`
    pub bias: u64,
    /// `[rows, width]`; may be `out`.
    pub residual: u64,
    /// `[2, width]`, f32: weight and bias
    pub affine: u64,
    /// `[rows, width]`: written.
    pub out: u64,
    pub rows: usize,
    pub width: usize,
    pub epsilon: f32,
}

struct Kernels {
    quantize_rows: OfHalves,
    bias_activation: OfHalves,
    add_norm: OfHalves,
    add_norm_any: OfHalves,
}

pub struct EightBitKernels {
    int8: Kernels,
    e4m3: Kernels,
}

/// Rows of a block of [`QuantizeRows`], a warp each.
const ROWS: usize = 4;
const WARP: u32 = 32;

impl EightBitKernels {
    pub fn of(module: &Module) -> Result<Self, DriverError> {
        let all = |kind: EightBits| -> Result<Kernels, DriverError> {
            let of = |name: &str| OfHalves::of(module, &format!("{name}_{}", kind.suffix()));
            Ok(Kernels {
                quantize_rows: of("quantize_rows")?,
                bias_activation: of("bias_activation")?,
                add_norm: of("add_norm")?,
                add_norm_any: of("add_norm_any")?,
            })
        };
        Ok(Self { int8: all(EightBits::Int8)?, e4m3: all(EightBits::E4m3)? })
    }

    const fn get(&self, kind: EightBits) -> &Kernels {
        match kind {
            EightBits::Int8 => &self.int8,
            EightBits::E4m3 => &self.e4m3,
        }
    }
}

impl super::Functions {
    /// See [`QuantizeRows`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, and the stream is of this device.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn quantize_rows(&self, stream: CUstream, x: &QuantizeRows) -> Result<(), DriverError> {
        if x.rows == 0 || x.width == 0 {
            return Ok(());
        }
        let function = self.eight_bits.get(x.into).quantize_rows.get(x.element)?;
        let (rows, width) = (int(x.rows)?, int(x.width)?);
        let shape = Shape::line(blocks(x.rows, ROWS)?, ROWS as u32 * WARP);
        // SAFETY: the kernel's own parameters; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters![x.x, x.q, x.scales, rows, width]) }
    }

    /// See [`ScaledBiasActivation`].
    ///
    /// # Safety
    /// As for [`Self::quantize_rows`].
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn scaled_bias_activation(&self, stream: CUstream, x: &ScaledBiasActivation) -> Result<(), DriverError> {
        if x.rows == 0 || x.width == 0 {
            return Ok(());
        }
        let addresses = [x.sums.sums, x.sums.column_scales, x.bias, x.out];
        let whole = x.width.is_multiple_of(x.element.vector()) && addresses.iter().all(|a| a.is_multiple_of(16));
        let shape = over_matrix(x.rows, if whole { x.width / x.element.vector() } else { x.width })?;
        let (rows, width, activation) = (int(x.rows)?, int(x.width)?, x.activation as i32);
        let function = self.eight_bits.get(x.sums.of).bias_activation.get(x.element)?;
        let parameters =
            parameters![x.sums.sums, x.sums.row_scales, x.sums.column_scales, x.bias, x.out, rows, width, activation];
        // SAFETY: the kernel's own parameters, which it looks at as above; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }

    /// See [`ScaledAddNorm`].
    ///
    /// # Safety
    /// As for [`Self::quantize_rows`].
    ///
    /// # Errors
    /// As for [`Self::add_norm`].
    pub unsafe fn scaled_add_norm(&self, stream: CUstream, x: &ScaledAddNorm) -> Result<(), DriverError> {
        if x.rows == 0 || x.width == 0 {
            return Ok(());
        }
        let addresses = [x.sums.sums, x.sums.column_scales, x.bias, x.residual, x.affine, x.out];
        let whole = in_registers(x.element, x.width, &addresses);
        let kernels = self.eight_bits.get(x.sums.of);
        let functions = [kernels.add_norm.get(x.element)?, kernels.add_norm_any.get(x.element)?];
        let (function, shape) = choose(whole, x.rows, x.width, functions)?;
        let (rows, width) = (int(x.rows)?, int(x.width)?);
        let parameters = parameters![
            x.sums.sums,
            x.sums.row_scales,
            x.sums.column_scales,
            x.bias,
            x.residual,
            x.affine,
            x.out,
            rows,
            width,
            x.epsilon
        ];
        // SAFETY: the kernel's own parameters; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }
}
