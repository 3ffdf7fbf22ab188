//! Each kernel against a plain computation of the same on the CPU, over random shapes, in each type.
//!
//! They run on the first GPU, or, where `TEXTFLIGHT_CUDA_LIBRARIES` names the emulator of `tests/cuda`, without one.

mod attention;
mod device;
mod eight_bits;
mod linear;
mod norm;
mod rows;

use proptest::prelude::*;

use super::*;
use device::{There, Values, device};

const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

fn element() -> impl Strategy<Value = Element> {
    prop::sample::select(ELEMENTS.to_vec())
}

/// A width that is read in vectors, or one that is not.
fn width(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1..most, (1..most / 8).prop_map(|n| n * 8)]
}

/// How far apart two values of a type are, relative to their size.
fn unit(element: Element) -> f32 {
    match element {
        Element::F32 => 1e-6,
        Element::F16 => 1.0 / 1024.0,
        Element::Bf16 => 1.0 / 128.0,
    }
}

/// Whether each value is as near to what is expected as the type allows.
fn close(found: &[f32], expected: &[f32], tolerance: f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        prop_assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{i}: {a} for {b}");
    }
    Ok(())
}
