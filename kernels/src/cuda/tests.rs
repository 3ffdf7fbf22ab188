//! The kernels of a GPU against their twins on the CPU, over random shapes, in each type.
//!
//! They run on the first GPU, or, where `TEXTFLIGHT_CUDA_LIBRARIES` names the emulator of `tests/cuda`, without one.

use std::path::PathBuf;
use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::max_difference;
use crate::{AttentionWeights, LayerNorm, Linear, Place, Precision, RowAttention, SelfAttention, Team};

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = std::env::var_os("TEXTFLIGHT_CUDA_LIBRARIES").map(PathBuf::from);
    Place::Gpu(Gpu::get(0, folder.as_deref()).unwrap())
});

const TYPES: [(Precision, DType); 3] =
    [(Precision::Float32, DType::F32), (Precision::Float16, DType::F16), (Precision::Bfloat16, DType::BF16)];

/// How far apart two values of a type are, relative to their size.
fn unit(dtype: DType) -> f32 {
    match dtype {
        DType::F16 => 1.0 / 1024.0,
        DType::BF16 => 1.0 / 128.0,
        _ => 1e-6,
    }
}

/// Random values that the type has, in f32 on the CPU.
fn random(shape: &[usize], deviation: f32, dtype: DType) -> Tensor {
    let values = Tensor::randn(0f32, deviation, shape, &Device::Cpu).unwrap();
    values.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap()
}

/// On the GPU, in a type.
fn there(x: &Tensor, dtype: DType) -> Tensor {
    x.to_dtype(dtype).unwrap().to_device(PLACE.device()).unwrap()
}

/// On the CPU, in f32.
fn here(x: &Tensor) -> Tensor {
    x.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
}

fn activation() -> impl Strategy<Value = Activation> {
    use Activation::{Gelu, GeluTanh, None, Relu, Silu};
    prop::sample::select(vec![None, Gelu, GeluTanh, Relu, Silu])
}

/// A width that is read in vectors, or one that is not.
fn width(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1..most, (1..most / 8).prop_map(|n| n * 8)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear(rows in 1usize..70, inner in width(80), out in width(80), activation in activation(), which in 0usize..3) {
        let (precision, dtype) = TYPES[which];
        let (x, weight, bias) = (random(&[rows, inner], 1.0, dtype), random(&[out, inner], 1.0, dtype), random(&[out], 1.0, dtype));
        let cpu = Linear::new(&weight, &bias, None, Precision::Float32, &Place::Cpu).unwrap().with_activation(activation);
        let gpu = Linear::new(&weight, &bias, None, precision, &PLACE).unwrap().with_activation(activation);
        let found = here(&gpu.forward(&there(&x, dtype), &Team::alone()).unwrap());
        let expected = cpu.forward(&x, &Team::alone()).unwrap();
        // Two roundings of values up to about 4 √inner.
        let tolerance = 2.0 * unit(dtype) * 4.0 * (inner as f32).sqrt() + 1e-4;
        prop_assert!(max_difference(&found, &expected).unwrap() <= tolerance, "{precision} {activation:?}");
    }

    #[test]
    fn self_attention(
        lengths in prop::collection::vec(1usize..20, 1..4),
        heads in 1usize..4,
        head in width(16),
        which in 0usize..3,
    ) {
        let (precision, dtype) = TYPES[which];
        let hidden = heads * head;
        let weights = AttentionWeights {
            weights: std::array::from_fn(|_| random(&[hidden, hidden], 0.5, dtype)),
            biases: std::array::from_fn(|_| random(&[hidden], 0.5, dtype)),
        };
        let (weight, bias) = (random(&[hidden], 1.0, DType::F32), random(&[hidden], 1.0, DType::F32));
        let norm = |place| LayerNorm::new(&weight, &bias, 1e-12, place).unwrap();
        let reach = norm(&Place::Cpu).reach().unwrap();
        let sequences = || Ragged::from_lengths(lengths.iter().copied());
        let x = random(&[sequences().rows(), hidden], 1.0, dtype);
        let on_gpu = sequences().at(&PLACE).unwrap();
        let tolerance = 32.0 * unit(dtype) * (hidden as f32).sqrt() + 1e-3;
        // A norm of a few features divides noise by almost nothing.
        prop_assume!(hidden > 4);

        let first: Vec<u32> = sequences().starts().iter().map(|row| *row as u32).collect();
        let asking = crate::select_rows(&x, &Place::Cpu.upload(&first).unwrap()).unwrap();
        let gpu = RowAttention::new(&weights, norm(&PLACE), heads, &reach, precision, &PLACE).unwrap();
        let found = here(&gpu.forward(there(&asking, dtype), &there(&x, dtype), &on_gpu, &Team::alone()).unwrap());
        let cpu = RowAttention::new(&weights, norm(&Place::Cpu), heads, &reach, Precision::Float32, &Place::Cpu).unwrap();
        let expected = cpu.forward(asking, &x, &sequences(), &Team::alone()).unwrap();
        prop_assert!(max_difference(&found, &expected).unwrap() <= tolerance, "rows, {precision}");

        let gpu = SelfAttention::new(&weights, norm(&PLACE), heads, &reach, precision, &PLACE).unwrap();
        let found = here(&gpu.forward(there(&x, dtype), &on_gpu, &Team::alone()).unwrap());
        let cpu = SelfAttention::new(&weights, norm(&Place::Cpu), heads, &reach, Precision::Float32, &Place::Cpu).unwrap();
        let expected = cpu.forward(x, &sequences(), &Team::alone()).unwrap();
        prop_assert!(max_difference(&found, &expected).unwrap() <= tolerance, "{precision}");
    }

    #[test]
    fn layer_norm(rows in 1usize..70, width in width(900), which in 0usize..3) {
        let dtype = TYPES[which].1;
        let (x, residual) = (random(&[rows, width], 3.0, dtype), random(&[rows, width], 2.0, dtype));
        let affine = random(&[2, width], 1.0, DType::F32);
        let gpu = there(&x, dtype);
        crate::add_layer_norm(&gpu, &there(&residual, dtype), &there(&affine, DType::F32), 1e-12).unwrap();
        crate::add_layer_norm(&x, &residual, &affine, 1e-12).unwrap();
        // A single feature, or two, have almost no variance: both divide noise by almost nothing.
        if width > 4 {
            prop_assert!(max_difference(&here(&gpu), &x).unwrap() <= 16.0 * unit(dtype) + 1e-4);
        }
    }

    #[test]
    fn rows_of_a_table(rows in 1usize..50, width in width(70), count in 1usize..60, which in 0usize..3) {
        let dtype = TYPES[which].1;
        let table = random(&[rows, width], 1.0, dtype);
        let ids: Vec<u32> = (0..count as u32).map(|i| (i * 7 + 3) % rows as u32).collect();
        let found = crate::select_rows(&there(&table, dtype), &PLACE.upload(&ids).unwrap()).unwrap();
        let expected = crate::select_rows(&table, &Place::Cpu.upload(&ids).unwrap()).unwrap();
        prop_assert_eq!(here(&found).to_vec2::<f32>().unwrap(), expected.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn attention(
        lengths in prop::collection::vec(1usize..90, 1..5),
        heads in 1usize..4,
        width in prop_oneof![Just(64), width(MAX_HEAD_WIDTH + 1)],
        first_only in any::<bool>(),
        which in 0usize..3,
    ) {
        let dtype = TYPES[which].1;
        let hidden = heads * width;
        let keys = Ragged::from_lengths(lengths.iter().copied());
        let queries = if first_only { Ragged::singles(lengths.len()) } else { keys.clone() };
        let deviation = 2.0 / (width as f32).powf(0.25);
        let q = random(&[queries.rows(), hidden], deviation, dtype);
        let kv = random(&[keys.rows(), 2 * hidden], deviation, dtype);
        let expected = crate::attention(&q, &kv, &queries, &keys, heads).unwrap();
        let (queries, keys) = (queries.at(&PLACE).unwrap(), keys.at(&PLACE).unwrap());
        let found = if first_only {
            crate::attention(&there(&q, dtype), &there(&kv, dtype), &queries, &keys, heads)
        } else {
            // Side by side in one matrix, as the model has them.
            let all = there(&Tensor::cat(&[&q, &kv], 1).unwrap(), dtype);
            let (q, kv) = (all.narrow(1, 0, hidden).unwrap(), all.narrow(1, hidden, 2 * hidden).unwrap());
            crate::attention(&q, &kv, &queries, &keys, heads)
        };
        prop_assert!(max_difference(&here(&found.unwrap()), &expected).unwrap() <= 8.0 * unit(dtype) + 2e-5);
    }
}

#[test]
fn a_score_that_is_far_above_the_others_takes_all() {
    let two = Ragged::from_lengths([2]).at(&PLACE).unwrap();
    let q = there(&Tensor::new(&[[1e4f32], [-1e4]], &Device::Cpu).unwrap(), DType::F32);
    let kv = there(&Tensor::new(&[[1e4f32, 1.0], [-1e4, 2.0]], &Device::Cpu).unwrap(), DType::F32);
    let context = here(&crate::attention(&q, &kv, &two, &two, 1).unwrap()).to_vec2::<f32>().unwrap();
    assert_eq!(context, [[1.0], [2.0]]);
}

#[test]
fn what_is_no_number_stays_none() {
    let x = there(&Tensor::new(&[[f32::NAN, 1.0], [1.0, 2.0]], &Device::Cpu).unwrap(), DType::F32);
    let affine = there(&Tensor::new(&[[1f32, 1.0], [0.0, 0.0]], &Device::Cpu).unwrap(), DType::F32);
    let zeros = there(&Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap(), DType::F32);
    crate::add_layer_norm(&x, &zeros, &affine, 1e-12).unwrap();
    let x = here(&x).to_vec2::<f32>().unwrap();
    assert!(x[0].iter().all(|x| x.is_nan()) && x[1].iter().all(|x| x.is_finite()), "{x:?}");

    let two = Ragged::from_lengths([2]).at(&PLACE).unwrap();
    let kv = there(&Tensor::new(&[[f32::NAN, 1.0], [1.0, 2.0]], &Device::Cpu).unwrap(), DType::F32);
    let q = there(&Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap(), DType::F32);
    let context = here(&crate::attention(&q, &kv, &two, &two, 1).unwrap()).to_vec2::<f32>().unwrap();
    assert!(context.iter().flatten().all(|x| x.is_nan()), "{context:?}");
}

#[test]
fn refuses_what_it_has_no_kernel_for() {
    let one = Ragged::from_lengths([1]).at(&PLACE).unwrap();
    let wide = MAX_HEAD_WIDTH + 1;
    let q = there(&random(&[1, wide], 1.0, DType::F32), DType::F32);
    let kv = there(&random(&[1, 2 * wide], 1.0, DType::F32), DType::F32);
    assert!(crate::attention(&q, &kv, &one, &one, 1).is_err());
    // The sequences must be where the kernel reads them.
    let not_there = Ragged::from_lengths([1]);
    assert!(crate::attention(&q, &kv, &not_there, &not_there, wide).is_err());
    let x = there(&random(&[1, MAX_NORM_WIDTH + 4], 1.0, DType::F32), DType::F32);
    let affine = there(&random(&[2, MAX_NORM_WIDTH + 4], 1.0, DType::F32), DType::F32);
    assert!(crate::add_layer_norm(&x, &x.copy().unwrap(), &affine, 1e-12).is_err());
    let layer = Linear::new(
        &random(&[8, 8], 1.0, DType::F32),
        &random(&[8], 1.0, DType::F32),
        None,
        Precision::Float16,
        &PLACE,
    );
    let x = there(&random(&[2, 8], 1.0, DType::F32), DType::F32);
    assert!(layer.unwrap().forward(&x, &Team::alone()).is_err(), "f32 into f16");
}

#[test]
fn copies_come_back_whole_and_use_their_buffers_again() {
    for count in [1, 1000, 5000, 20] {
        let ids: Vec<u32> = (0..count).collect();
        let up = PLACE.upload(&ids).unwrap();
        assert_eq!(up.to_device(&Device::Cpu).unwrap().to_vec1::<u32>().unwrap(), ids);
        let values = random(&[count as usize, 2], 1.0, DType::F32);
        let (a, b) = (
            PLACE.download(&there(&values, DType::F32)).unwrap(),
            PLACE.download(&there(&values, DType::F32)).unwrap(),
        );
        let expected = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!((b.finish().unwrap(), a.finish().unwrap()), (expected.clone(), expected));
    }
}

#[test]
fn the_widest_norm_and_the_longest_text_fit() {
    let x = random(&[3, MAX_NORM_WIDTH], 1.0, DType::F32);
    let affine = random(&[2, MAX_NORM_WIDTH], 1.0, DType::F32);
    let zeros = x.zeros_like().unwrap();
    let gpu = there(&x, DType::F32);
    crate::add_layer_norm(&gpu, &there(&zeros, DType::F32), &there(&affine, DType::F32), 1e-12).unwrap();
    crate::add_layer_norm(&x, &zeros, &affine, 1e-12).unwrap();
    assert!(max_difference(&here(&gpu), &x).unwrap() < 1e-4);

    let keys = Ragged::from_lengths([512, 1, 511]);
    let (q, kv) = (random(&[1024, 64], 0.5, DType::F16), random(&[1024, 128], 0.5, DType::F16));
    let expected = crate::attention(&q, &kv, &keys, &keys, 1).unwrap();
    let keys = keys.at(&PLACE).unwrap();
    let found = crate::attention(&there(&q, DType::F16), &there(&kv, DType::F16), &keys, &keys, 1).unwrap();
    assert!(max_difference(&here(&found), &expected).unwrap() < 4e-3);
}
