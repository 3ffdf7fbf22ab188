//! Positions as sines and cosines, where a checkpoint has no table of them.

use candle_core::{Device, Result, Tensor};

/// `[rows, dim]`, f32: pairs of a sine and a cosine, the first pair of the shortest wave.
///
/// # Errors
/// When there is no memory for it.
pub fn sinusoids(rows: usize, dim: usize) -> Result<Tensor> {
    let value = |row: usize, column: usize| {
        let pair = (column - column % 2) as f64;
        let angle = row as f64 / 10_000_f64.powf(pair / dim as f64);
        (if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let values: Vec<f32> = (0..rows).flat_map(|row| (0..dim).map(move |column| value(row, column))).collect();
    Tensor::from_vec(values, (rows, dim), &Device::Cpu)
}
