//! Kernels over rows: where sequences begin, their first rows, and rows in f32.

use cudarc::driver::{DriverError, sys::CUstream};

use super::element::{Element, OfElement};
use super::module::{Function, Module, Shape, blocks, int, parameters};

/// From the lengths of sequences: where each begins, and each token's place in its sequence.
pub struct Spans {
    /// `[sequences]`, u32
    pub lengths: u64,
    pub sequences: usize,
    /// `[sequences + 1]`, u32: written, from 0 to the number of tokens.
    pub starts: u64,
    /// `[tokens]`, u32: written.
    pub positions: u64,
}

/// The first row of each sequence.
pub struct FirstRows {
    pub element: Element,
    /// `[tokens, width]`
    pub x: u64,
    /// `[sequences]` or longer, u32
    pub starts: u64,
    /// `[sequences, width]`: written.
    pub out: u64,
    pub sequences: usize,
    pub width: usize,
}

/// Values in f32.
pub struct Widen {
    pub element: Element,
    /// `[count]`
    pub x: u64,
    /// `[count]`, f32: written.
    pub out: u64,
    pub count: usize,
}

#[expect(clippy::struct_field_names, reason = "a part is called as all of them are")]
pub struct Rows {
    spans: Function,
    first_rows: OfElement,
    widen: OfElement,
}

/// Sequences of a block of [`Spans`]: as many as its threads.
const SPANS: usize = 128;
/// Threads of a block over values.
const THREADS: u32 = 256;

impl Rows {
    pub fn of(module: &Module) -> Result<Self, DriverError> {
        Ok(Self {
            spans: module.function("spans")?,
            first_rows: OfElement::of(module, "first_rows")?,
            widen: OfElement::of(module, "widen")?,
        })
    }
}

impl super::Functions {
    /// See [`Spans`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, and the stream is of this device.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn spans(&self, stream: CUstream, spans: &Spans) -> Result<(), DriverError> {
        if spans.sequences == 0 {
            return Ok(());
        }
        let sequences = int(spans.sequences)?;
        let shape = Shape::line(blocks(spans.sequences, SPANS)?, SPANS as u32);
        let parameters = parameters![spans.lengths, sequences, spans.starts, spans.positions];
        // SAFETY: the kernel's own parameters; the rest is the caller's.
        unsafe { self.rows.spans.launch(stream, shape, parameters) }
    }

    /// See [`FirstRows`].
    ///
    /// # Safety
    /// As for [`Self::spans`], and the starts are below the rows of `x`.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn first_rows(&self, stream: CUstream, rows: &FirstRows) -> Result<(), DriverError> {
        if rows.sequences == 0 || rows.width == 0 {
            return Ok(());
        }
        let width = int(rows.width)?;
        let shape = Shape::line(blocks(rows.sequences, 1)?, 128);
        let parameters = parameters![rows.x, rows.starts, rows.out, width];
        // SAFETY: the kernel's own parameters, a block a sequence; the rest is the caller's.
        unsafe { self.rows.first_rows.get(rows.element).launch(stream, shape, parameters) }
    }

    /// See [`Widen`].
    ///
    /// # Safety
    /// As for [`Self::spans`].
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn widen(&self, stream: CUstream, widen: &Widen) -> Result<(), DriverError> {
        if widen.count == 0 {
            return Ok(());
        }
        let count = widen.count as i64;
        let shape = Shape::line(blocks(widen.count, THREADS as usize)?, THREADS);
        let parameters = parameters![widen.x, widen.out, count];
        // SAFETY: the kernel's own parameters; the rest is the caller's.
        unsafe { self.rows.widen.get(widen.element).launch(stream, shape, parameters) }
    }
}
