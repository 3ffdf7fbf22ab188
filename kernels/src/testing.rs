//! What the tests of this module share.

use candle_core::{Result, Tensor};

/// The largest absolute difference of two tensors of one shape; 0 where they are empty.
///
/// # Errors
/// When the shapes differ.
pub fn max_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    if a.elem_count() == 0 {
        return Ok(0.0);
    }
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}
