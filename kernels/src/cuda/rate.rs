//! How fast a GPU multiplies: what the model's speed is held against.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use super::Gpu;
use super::encoder::{Arithmetic, on_device};
use super::memory::Buffer;
use super::products::{After, Operands, Shape, padded};
use super::trouble::Trouble;
use crate::{Fault, Precision};

/// Products that are put into the stream at once, so that the wait does not count.
const AT_ONCE: u32 = 8;

impl Gpu {
    /// Products a second of square matrices of random values, in TFLOP/s, over about this time. On values that are all the same
    /// a card whose power is limited would be faster than it is.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`] when the matrices have no room, and others when the GPU fails.
    pub fn product_rate(&self, size: usize, precision: Precision, duration: Duration) -> Result<f64, Fault> {
        self.multiply(size, precision, duration).map_err(|trouble| self.fault(&trouble, "a matrix product"))
    }

    fn multiply(&self, size: usize, precision: Precision, duration: Duration) -> Result<f64, Trouble> {
        let arithmetic = Arithmetic::of(precision);
        let mut workshop = self.workshop()?;
        let size = padded(size);
        // Of the standard normal distribution.
        let random = || -> Result<Buffer, Trouble> {
            on_device(self.queue(), &Tensor::randn(0f32, 1f32, (size, size), &Device::Cpu)?, arithmetic)
        };
        let matrices = [random()?, random()?, Buffer::new(self.queue(), size * size * size_of::<f32>())?];
        let [weight, x, y] = matrices.each_ref().map(Buffer::address);
        let shape = Shape { kind: arithmetic.kind, out: size, inner: size, rows: size, after: After::Nothing };
        // SAFETY: all three have room for size × size values, the last for those of any type.
        let mut run = || unsafe { workshop.products.run(shape, Operands { weight, bias: 0, x, y }) };
        run()?;
        self.settle()?;
        let (began, mut products) = (Instant::now(), 0);
        loop {
            (0..AT_ONCE).try_for_each(|_| run())?;
            products += AT_ONCE;
            self.settle()?;
            if began.elapsed() >= duration {
                let operations = f64::from(products) * 2.0 * (size as f64).powi(3);
                return Ok(operations / began.elapsed().as_secs_f64() / 1e12);
            }
        }
    }
}
