//! Our kernels, looked up once a device, behind functions with the types of their arguments.
//!
//! All take raw addresses of the device, put one kernel into the stream and return; nothing is allocated, copied or waited
//! for. An address is that of the first value, and matrices are rows of `width` values without gaps where nothing else is
//! said. None of them does anything when there is nothing to do: no rows, or no sequences.

mod attention;
mod code;
mod eight_bits;
mod element;
mod linear;
mod module;
mod norm;
mod rows;

use cudarc::driver::{CudaContext, DriverError};

pub use attention::Attention;
pub use code::{Runs, check_driver, embedded_for, refused};
pub use eight_bits::{EightBits, QuantizeRows, ScaledAddNorm, ScaledBiasActivation, Sums};
pub use element::Element;
pub use linear::BiasActivation;
pub use module::{Function, Module};
pub use norm::{AddNorm, EmbedNorm};
pub use rows::{FirstRows, Spans, Widen};

/// The kernels of a device.
pub struct Functions {
    rows: rows::Rows,
    norms: norm::Norms,
    linear: linear::Activations,
    attention: attention::Attentions,
    eight_bits: eight_bits::EightBitKernels,
}

impl Functions {
    /// Loads the kernels into a context.
    ///
    /// # Errors
    /// The driver's, when the embedded code does not suit the device or the driver.
    pub fn load(context: &CudaContext) -> Result<Self, DriverError> {
        let module = Module::load(context)?;
        Ok(Self {
            rows: rows::Rows::of(&module)?,
            norms: norm::Norms::of(&module)?,
            linear: linear::Activations::of(&module)?,
            attention: attention::Attentions::of(&module)?,
            eight_bits: eight_bits::EightBitKernels::of(&module)?,
        })
    }
}

#[cfg(test)]
mod tests;
