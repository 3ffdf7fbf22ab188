//! Kernels that end in a LayerNorm.

use cudarc::driver::{DriverError, sys::CUstream};

use super::element::{Element, OfElement};
use super::module::{Function, Module, REFUSED, Shape, blocks, int, parameters};

/// `LayerNorm(words[id] + table[position])` for each token.
pub struct EmbedNorm {
    pub element: Element,
    /// `[tokens]`, u32, below the rows of `words`
    pub ids: u64,
    /// `[tokens]`, u32, below the rows of `table`
    pub positions: u64,
    /// `[vocabulary, width]`
    pub words: u64,
    /// `[positions, width]`
    pub table: u64,
    /// `[2, width]`, f32: weight and bias
    pub affine: u64,
    /// `[tokens, width]`: written.
    pub out: u64,
    pub tokens: usize,
    pub width: usize,
    pub epsilon: f32,
}

/// `x ← LayerNorm(x + bias + residual)`, in place.
pub struct AddNorm {
    pub element: Element,
    /// `[rows, width]`: read and written.
    pub x: u64,
    /// `[rows, width]`
    pub residual: u64,
    /// `[width]`, of the product that made `x`, unless it was added there
    pub bias: Option<u64>,
    /// `[2, width]`, f32: weight and bias
    pub affine: u64,
    pub rows: usize,
    pub width: usize,
    pub epsilon: f32,
}

pub struct Norms {
    embed: OfElement,
    embed_any: OfElement,
    add: OfElement,
    add_any: OfElement,
}

const WARP: usize = 32;
/// Rows of a block, a warp each.
const ROWS: usize = 4;
/// The widest row that a warp holds in registers: 32 values a lane, which is `NORM_VALUES` of the kernels.
pub const IN_REGISTERS: usize = 1024;
/// The widest of all: a warp keeps it in shared memory, of which every card has so much for a block.
pub const MAX_NORM_WIDTH: usize = 12_288;

impl Norms {
    pub fn of(module: &Module) -> Result<Self, DriverError> {
        Ok(Self {
            embed: OfElement::of(module, "embed_norm")?,
            embed_any: OfElement::of(module, "embed_norm_any")?,
            add: OfElement::of(module, "add_norm")?,
            add_any: OfElement::of(module, "add_norm_any")?,
        })
    }
}

/// Whether rows are read in whole vectors and held in registers. Every address must begin one.
pub fn in_registers(element: Element, width: usize, addresses: &[u64]) -> bool {
    width <= IN_REGISTERS && width.is_multiple_of(element.vector()) && addresses.iter().all(|a| a.is_multiple_of(16))
}

/// A warp a row: of the kernel for such rows, or of its twin for any.
pub fn choose(
    in_registers: bool,
    rows: usize,
    width: usize,
    [usual, any]: [Function; 2],
) -> Result<(Function, Shape), DriverError> {
    if in_registers {
        return Ok((usual, Shape::line(blocks(rows, ROWS)?, (ROWS * WARP) as u32)));
    }
    if width > MAX_NORM_WIDTH {
        return Err(REFUSED);
    }
    // Wide rows: fewer warps a block, so that their shared memory stays within what every card has.
    let warps = (MAX_NORM_WIDTH / width.max(1)).clamp(1, ROWS);
    let shared = (warps * width * size_of::<f32>()) as u32;
    Ok((any, Shape { shared, ..Shape::line(blocks(rows, warps)?, (warps * WARP) as u32) }))
}

impl super::Functions {
    /// See [`EmbedNorm`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, ids and positions lead to rows of their tables, and
    /// the stream is of this device.
    ///
    /// # Errors
    /// The driver's; `CUDA_ERROR_INVALID_VALUE` for a width of more than [`MAX_NORM_WIDTH`].
    pub unsafe fn embed_norm(&self, stream: CUstream, x: &EmbedNorm) -> Result<(), DriverError> {
        if x.tokens == 0 || x.width == 0 {
            return Ok(());
        }
        let whole = in_registers(x.element, x.width, &[x.words, x.table, x.affine, x.out]);
        let functions = [self.norms.embed.get(x.element), self.norms.embed_any.get(x.element)];
        let (function, shape) = choose(whole, x.tokens, x.width, functions)?;
        let (tokens, width) = (int(x.tokens)?, int(x.width)?);
        let parameters = parameters![x.ids, x.positions, x.words, x.table, x.affine, x.out, tokens, width, x.epsilon];
        // SAFETY: the kernel's own parameters; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }

    /// See [`AddNorm`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, and the stream is of this device.
    ///
    /// # Errors
    /// As for [`Self::embed_norm`].
    pub unsafe fn add_norm(&self, stream: CUstream, x: &AddNorm) -> Result<(), DriverError> {
        if x.rows == 0 || x.width == 0 {
            return Ok(());
        }
        let bias = x.bias.unwrap_or(0);
        let whole = in_registers(x.element, x.width, &[x.x, x.residual, bias, x.affine]);
        let functions = [self.norms.add.get(x.element), self.norms.add_any.get(x.element)];
        let (function, shape) = choose(whole, x.rows, x.width, functions)?;
        let (rows, width) = (int(x.rows)?, int(x.width)?);
        let parameters = parameters![x.x, x.residual, bias, x.affine, rows, width, x.epsilon];
        // SAFETY: the kernel's own parameters, of which the bias may be null; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }
}
