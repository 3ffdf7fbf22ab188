//! What comes after a product: bias and activation.

use cudarc::driver::{DriverError, sys::CUstream};

use super::element::{Element, OfElement};
use super::module::{Module, Shape, blocks, int, parameters};
use crate::Activation;

/// `y ← f(y + bias)`, in place.
pub struct BiasActivation {
    pub element: Element,
    /// `[rows, width]`: read and written.
    pub y: u64,
    /// `[width]`
    pub bias: u64,
    pub rows: usize,
    pub width: usize,
    pub activation: Activation,
}

pub struct Activations {
    bias_activation: OfElement,
}

/// Threads of a block, and rows of each of them.
const THREADS: usize = 128;
const ROWS: usize = 4;
/// Blocks beneath each other in a grid.
const MAX_GRID_Y: u32 = 65_535;

impl Activations {
    pub fn of(module: &Module) -> Result<Self, DriverError> {
        Ok(Self { bias_activation: OfElement::of(module, "bias_activation_rows")? })
    }
}

/// Threads for each vector of a row and, where that leaves some of a block, for several rows. Threads go on in steps of the
/// grid.
pub fn over_matrix(rows: usize, vectors: usize) -> Result<Shape, DriverError> {
    let across = vectors.clamp(1, THREADS);
    let down = THREADS / across;
    let grid = (blocks(vectors, across)?, blocks(rows, down * ROWS)?.min(MAX_GRID_Y), 1);
    Ok(Shape { grid, block: (across as u32, down as u32, 1), shared: 0 })
}

impl super::Functions {
    /// See [`BiasActivation`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, and the stream is of this device.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn bias_activation(&self, stream: CUstream, x: &BiasActivation) -> Result<(), DriverError> {
        if x.rows == 0 || x.width == 0 {
            return Ok(());
        }
        let whole = x.width.is_multiple_of(x.element.vector()) && x.y.is_multiple_of(16) && x.bias.is_multiple_of(16);
        let each = if whole { x.element.vector() } else { 1 };
        let shape = over_matrix(x.rows, x.width / each)?;
        let (rows, width, activation) = (int(x.rows)?, int(x.width)?, x.activation as i32);
        let parameters = parameters![x.y, x.bias, rows, width, activation];
        // SAFETY: the kernel's own parameters, which it looks at as above; the rest is the caller's.
        unsafe { self.linear.bias_activation.get(x.element).launch(stream, shape, parameters) }
    }
}
