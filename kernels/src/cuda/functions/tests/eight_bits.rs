use half::f16;
use proptest::prelude::*;

use super::device::Noise;
use super::linear::{activate, activation};
use super::norm::{affine, layer_norm, norm_width};
use super::*;

fn kind() -> impl Strategy<Value = EightBits> {
    prop::sample::select(vec![EightBits::Int8, EightBits::E4m3])
}

/// What 8 bits are worth.
fn value_of(kind: EightBits, bits: u8) -> f32 {
    match kind {
        EightBits::Int8 => f32::from(bits as i8),
        EightBits::E4m3 => {
            let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
            let size = match exponent {
                0 => mantissa / 8.0 * 2f32.powi(-6),
                _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
            };
            if bits >= 128 { -size } else { size }
        }
    }
}

fn quantize(element: Element, into: EightBits, x: &[f32], width: usize) -> (Vec<u8>, Vec<f32>) {
    let rows = x.len() / width;
    let (there, q, scales) = (Values::of(element, x), There::<u8>::empty(x.len()), There::<f32>::empty(rows));
    let device = device();
    let arguments =
        QuantizeRows { element, into, x: there.address(), q: q.address(), scales: scales.address(), rows, width };
    // SAFETY: the memory is of these shapes.
    unsafe { device.functions.quantize_rows(device.stream(), &arguments) }.unwrap();
    (q.read(), scales.read())
}

/// A product's sums of a kind on the device, and what they stand for on the CPU.
struct Product {
    sums: There<u8>,
    rows: There<f32>,
    columns: There<f32>,
    of: EightBits,
    values: Vec<f32>,
}

impl Product {
    fn new(noise: &mut Noise, of: EightBits, rows: usize, width: usize) -> Self {
        let scales = |noise: &mut Noise, count: usize| -> Vec<f32> {
            noise.values(Element::F32, count, 0.001).iter().map(|x| x.abs() + 1e-4).collect()
        };
        let (of_rows, of_columns) = (scales(noise, rows), scales(noise, width));
        let raw = noise.values(Element::F32, rows * width, 500_000.0);
        let (sums, values): (Vec<Vec<u8>>, Vec<f32>) = match of {
            EightBits::Int8 => raw.iter().map(|x| ((*x as i32).to_le_bytes().to_vec(), *x as i32 as f32)).unzip(),
            EightBits::E4m3 => {
                let one = |x: &f32| f16::from_f32(x / 1024.0);
                raw.iter().map(|x| (one(x).to_le_bytes().to_vec(), one(x).to_f32() * 1024.0)).unzip()
            }
        };
        let scaled = |(i, x): (usize, f32)| x * of_rows[i / width] * of_columns[i % width];
        let values = values.into_iter().enumerate().map(scaled).collect();
        Self { sums: There::of(&sums.concat()), rows: There::of(&of_rows), columns: There::of(&of_columns), of, values }
    }

    fn sums(&self) -> Sums {
        Sums {
            of: self.of,
            sums: self.sums.address(),
            row_scales: self.rows.address(),
            column_scales: self.columns.address(),
        }
    }
}

fn half() -> impl Strategy<Value = Element> {
    prop::sample::select(vec![Element::F16, Element::Bf16])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn rows_into_8_bits(rows in 1usize..9, width in width(700), element in half(), kind in kind(), seed in 1u64..) {
        let mut noise = Noise(seed);
        let mut x = noise.values(element, rows * width, 3.0);
        x[..width].fill(0.0);
        let (q, scales) = quantize(element, kind, &x, width);
        let largest = |row: &[f32]| row.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (r, row) in x.chunks_exact(width).enumerate() {
            let most = match kind { EightBits::Int8 => 127.0, EightBits::E4m3 => 448.0 };
            prop_assert!((scales[r] * most - largest(row)).abs() <= 1e-6 * largest(row), "{} of {r}", scales[r]);
            for (c, x) in row.iter().enumerate() {
                let found = value_of(kind, q[r * width + c]) * scales[r];
                // Half a step: of whole numbers, or of 3 bits of mantissa, which below 2^-6 are of a fixed size.
                let step = match kind {
                    EightBits::Int8 => scales[r] * 0.5,
                    EightBits::E4m3 => (x.abs() / 16.0).max(scales[r] * 2f32.powi(-10)),
                };
                prop_assert!((found - x).abs() <= step * 1.0001, "{found} for {x} in a row of scale {}", scales[r]);
            }
        }
    }

    #[test]
    fn bias_and_activation_of_sums(
        rows in 1usize..12, width in width(300), element in half(), kind in kind(), activation in activation(),
        seed in 1u64..,
    ) {
        let mut noise = Noise(seed);
        let (product, bias) = (Product::new(&mut noise, kind, rows, width), noise.values(element, width, 1.0));
        let expected: Vec<f32> =
            (0..rows * width).map(|i| activate(product.values[i] + bias[i % width], activation)).collect();
        let (there_bias, out) = (Values::of(element, &bias), Values::empty(element, rows * width));
        let arguments = ScaledBiasActivation {
            element, sums: product.sums(), bias: there_bias.address(), out: out.address(), rows, width, activation,
        };
        let device = device();
        // SAFETY: the memory is of these shapes.
        unsafe { device.functions.scaled_bias_activation(device.stream(), &arguments) }.unwrap();
        close(&out.read(), &expected, 2.0 * unit(element))?;
    }

    #[test]
    fn norm_of_sums(rows in 1usize..9, width in norm_width(), element in half(), kind in kind(), seed in 1u64..) {
        let mut noise = Noise(seed);
        let product = Product::new(&mut noise, kind, rows, width);
        let (bias, residual) = (noise.values(element, width, 1.0), noise.values(element, rows * width, 1.0));
        let affine = affine(&mut noise, width);
        let sums: Vec<f32> = (0..rows * width).map(|i| product.values[i] + bias[i % width] + residual[i]).collect();
        // In place of the residual.
        let (there_bias, out) = (Values::of(element, &bias), Values::of(element, &residual));
        let there_affine = There::of(&affine);
        let arguments = ScaledAddNorm {
            element, sums: product.sums(), bias: there_bias.address(), residual: out.address(),
            affine: there_affine.address(), out: out.address(), rows, width, epsilon: 1e-12,
        };
        let device = device();
        // SAFETY: the memory is of these shapes.
        unsafe { device.functions.scaled_add_norm(device.stream(), &arguments) }.unwrap();
        close(&out.read(), &layer_norm(&sums, &affine, width, 1e-12), 4.0 * unit(element) + 1e-4)?;
    }
}

#[test]
fn a_row_that_is_no_number_has_a_scale_that_is_none() {
    for kind in [EightBits::Int8, EightBits::E4m3] {
        for bad in [f32::NAN, f32::INFINITY] {
            let (q, scales) = quantize(Element::F16, kind, &[1.0, bad, 2.0, 4.0], 2);
            assert!(scales[0].is_nan() && scales[1].is_finite(), "{scales:?}");
            assert_eq!(value_of(kind, q[3]) * scales[1], 4.0);
        }
    }
}
