//! A device's own matrix product: what the model's speed is held against.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use crate::classifier::Precision;
use crate::classifier::kernels::{Fault, Linear, Place, Team};
use crate::{Error, Result};

/// Products a second of a large square matrix, in TFLOP/s: on the CPU on all cores at once.
pub fn measure(place: &Place, precision: Precision, large: bool, duration: Duration) -> Result<f64> {
    let failed = |e| place.fault(&e, "a matrix product");
    let (size, threads) = match place {
        Place::Cpu => (if large { 1536 } else { 128 }, std::thread::available_parallelism().map_or(1, usize::from)),
        Place::Gpu(_) => (if large { 8192 } else { 128 }, 1),
    };
    let layer = || -> candle_core::Result<(Linear, Tensor)> {
        let weight = Tensor::ones((size, size), candle_core::DType::F32, &Device::Cpu)?;
        let bias = Tensor::zeros(size, candle_core::DType::F32, &Device::Cpu)?;
        let x = weight.to_dtype(place.dtype(precision))?.to_device(place.device())?;
        Ok((Linear::new(&weight, &bias, None, precision, place)?, x))
    };
    let (layer, x) = layer().map_err(failed)?;
    let run = || -> candle_core::Result<f64> {
        layer.forward(&x, &Team::alone())?;
        place.device().synchronize()?;
        let began = Instant::now();
        let mut products = 0.0;
        loop {
            // A few at once, so that the wait for a GPU does not count.
            for _ in 0..8 {
                layer.forward(&x, &Team::alone())?;
                products += 1.0;
            }
            place.device().synchronize()?;
            if began.elapsed() >= duration {
                break Ok(products * 2.0 * (size as f64).powi(3) / began.elapsed().as_secs_f64() / 1e12);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let each =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| candle_core::bail!("it panicked")));
        each.sum::<candle_core::Result<f64>>().map_err(|e| match failed(e) {
            Fault::OutOfMemory(cause) => Error::Failed(cause),
            fault => fault.into(),
        })
    })
}
