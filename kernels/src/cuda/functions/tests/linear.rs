use proptest::prelude::*;

use super::device::Noise;
use super::*;
use crate::Activation;

/// The activations, from their formulas, in f64.
pub fn activate(x: f32, activation: Activation) -> f32 {
    let x = f64::from(x);
    let y = match activation {
        Activation::None => x,
        Activation::Gelu => x * normal(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
    };
    y as f32
}

/// The normal distribution, by a series that is exact as far as it is asked here.
fn normal(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

pub fn activation() -> impl Strategy<Value = Activation> {
    use Activation::{Gelu, GeluTanh, None, Relu, Silu};
    prop::sample::select(vec![None, Gelu, GeluTanh, Relu, Silu])
}

fn biased(rows: usize, width: usize, element: Element, activation: Activation, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut noise = Noise(seed);
    let (y, bias) = (noise.values(element, rows * width, 2.0), noise.values(element, width, 1.0));
    let expected = (0..rows * width).map(|i| activate(y[i] + bias[i % width], activation)).collect();
    let (there, there_bias) = (Values::of(element, &y), Values::of(element, &bias));
    let device = device();
    let arguments = BiasActivation { element, y: there.address(), bias: there_bias.address(), rows, width, activation };
    // SAFETY: the memory is of these shapes.
    unsafe { device.functions.bias_activation(device.stream(), &arguments) }.unwrap();
    (there.read(), expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn bias_and_activation(
        rows in 1usize..40, width in width(400), element in element(), activation in activation(), seed in 1u64..,
    ) {
        let (found, expected) = biased(rows, width, element, activation, seed);
        close(&found, &expected, 2.0 * unit(element))?;
    }
}

#[test]
fn many_rows_and_rows_of_several_blocks() {
    for (rows, width) in [(300_000, 1), (3, 3000)] {
        let (found, expected) = biased(rows, width, Element::F16, Activation::Relu, 9);
        close(&found, &expected, unit(Element::F16)).unwrap();
    }
}

#[test]
fn relu_hides_no_nan() {
    let (y, bias) = (Values::of(Element::F16, &[f32::NAN, -1.0]), Values::of(Element::F16, &[0.0, 0.0]));
    let device = device();
    let arguments = BiasActivation {
        element: Element::F16,
        y: y.address(),
        bias: bias.address(),
        rows: 1,
        width: 2,
        activation: Activation::Relu,
    };
    // SAFETY: the memory is of these shapes.
    unsafe { device.functions.bias_activation(device.stream(), &arguments) }.unwrap();
    assert!(matches!(y.read()[..], [x, 0.0] if x.is_nan()));
}
