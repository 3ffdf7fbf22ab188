//! A device's own matrix product, over random data: what the model's speed is held against. Of equal numbers a card that is bound
//! by its power would multiply more.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use super::random::Random;
use crate::classifier::Precision;
use crate::classifier::kernels::{PackedLinear, Place, Team, cause};
use crate::{Error, Result};

/// Products a second of a large square matrix, in TFLOP/s: on the CPU on all cores at once.
pub fn measure(place: &Place, precision: Precision, large: bool, duration: Duration) -> Result<f64> {
    match place {
        Place::Cpu => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            on_cores(if large { 1536 } else { 128 }, precision, threads, duration)
                .map_err(|e| Error::Failed(format!("a matrix product on cpu failed: {}", cause(&e))))
        }
        Place::Gpu(gpu) => Ok(gpu.product_rate(if large { 8192 } else { 128 }, precision, duration)?),
    }
}

fn on_cores(size: usize, precision: Precision, threads: usize, duration: Duration) -> candle_core::Result<f64> {
    let mut random = Random::new(size as u64);
    let values: Vec<f32> = (0..size * size).map(|_| random.value(1.0)).collect();
    let x = Tensor::from_vec(values, (size, size), &Device::Cpu)?;
    let layer = PackedLinear::new(&x, &Tensor::zeros(size, candle_core::DType::F32, &Device::Cpu)?, None, precision)?;
    let run = || -> candle_core::Result<f64> {
        layer.forward(&x, &Team::alone())?;
        let (began, mut products) = (Instant::now(), 0.0);
        loop {
            layer.forward(&x, &Team::alone())?;
            products += 1.0;
            if began.elapsed() >= duration {
                break Ok(products * 2.0 * (size as f64).powi(3) / began.elapsed().as_secs_f64() / 1e12);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let each =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| candle_core::bail!("it panicked")));
        each.sum()
    })
}
