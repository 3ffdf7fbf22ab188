//! The encoder of a GPU against plain operations on the CPU, over random shapes, in each type; and what a forward costs.
//!
//! They run on the first GPU, or, where `TEXTFLIGHT_CUDA_LIBRARIES` names the emulator of `tests/cuda`, without one.

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use proptest::prelude::*;

use super::*;
use crate::{Activation, Affine, AttentionWeights, EmbeddingWeights, EncoderShape, Fault, LayerWeights, Precision};

static GPU: LazyLock<Arc<Gpu>> = LazyLock::new(|| {
    let folder = std::env::var_os("TEXTFLIGHT_CUDA_LIBRARIES").map(PathBuf::from);
    Gpu::get(0, folder.as_deref()).unwrap()
});

/// Counters are of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Random values that the type has, in f32.
fn random(shape: &[usize], deviation: f64, dtype: DType) -> Tensor {
    let values = Tensor::randn(0f32, 1f32, shape, &Device::Cpu).unwrap();
    (values * deviation).unwrap().to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap()
}

/// An encoder on the CPU, as simple as can be.
struct Plain {
    shape: EncoderShape,
    embeddings: EmbeddingWeights,
    layers: Vec<LayerWeights>,
    head: [Affine; 2],
}

fn copy(affine: &Affine) -> Affine {
    Affine { weight: affine.weight.clone(), bias: affine.bias.clone() }
}

impl Plain {
    fn random(shape: EncoderShape, layers: usize, dtype: DType) -> Self {
        let (hidden, wide) = (shape.hidden, shape.wide);
        let linear = |out: usize, inner: usize| Affine {
            weight: random(&[out, inner], 1.0 / (inner as f64).sqrt(), dtype),
            bias: random(&[out], 0.3, dtype),
        };
        let norm = || Affine {
            weight: (random(&[hidden], 0.2, DType::F32) + 1.0).unwrap(),
            bias: random(&[hidden], 0.2, DType::F32),
        };
        let layer = || {
            let [q, k, v, o] = [(); 4].map(|()| linear(hidden, hidden));
            LayerWeights {
                attention: AttentionWeights {
                    weights: [q.weight, k.weight, v.weight, o.weight],
                    biases: [q.bias, k.bias, v.bias, o.bias],
                },
                attention_norm: norm(),
                widen: linear(wide, hidden),
                narrow: linear(hidden, wide),
                output_norm: norm(),
            }
        };
        Self {
            shape,
            embeddings: EmbeddingWeights {
                words: random(&[shape.vocabulary, hidden], 1.0, dtype),
                positions: random(&[shape.longest, hidden], 1.0, dtype),
                norm: norm(),
            },
            layers: (0..layers).map(|_| layer()).collect(),
            head: [linear(hidden, hidden), linear(shape.labels, hidden)],
        }
    }

    fn on_gpu(&self, precision: Precision) -> Result<GpuEncoder, Fault> {
        let embeddings = EmbeddingWeights {
            words: self.embeddings.words.clone(),
            positions: self.embeddings.positions.clone(),
            norm: copy(&self.embeddings.norm),
        };
        let layers = self.layers.iter().map(|layer| {
            Ok(LayerWeights {
                attention: AttentionWeights {
                    weights: layer.attention.weights.clone(),
                    biases: layer.attention.biases.clone(),
                },
                attention_norm: copy(&layer.attention_norm),
                widen: copy(&layer.widen),
                narrow: copy(&layer.narrow),
                output_norm: copy(&layer.output_norm),
            })
        });
        let head = || Ok(self.head.each_ref().map(copy));
        GpuEncoder::new::<Fault>(&GPU, self.shape, precision, embeddings, layers, head)
    }

    fn logits(&self, sequences: &[&[u32]]) -> CandleResult<Vec<f32>> {
        let mut all = Vec::new();
        for ids in sequences {
            let mut x = self.embeddings.words.index_select(&Tensor::new(*ids, &Device::Cpu)?, 0)?;
            x = self.norm(&(x + self.embeddings.positions.narrow(0, 0, ids.len())?)?, &self.embeddings.norm)?;
            for layer in &self.layers {
                x = self.norm(&(&x + self.attend(&x, &layer.attention)?)?, &layer.attention_norm)?;
                let wide = activated(&linear(&x, &layer.widen)?, self.shape.activation)?;
                x = self.norm(&(&x + linear(&wide, &layer.narrow)?)?, &layer.output_norm)?;
            }
            let inner = activated(&linear(&x.narrow(0, 0, 1)?, &self.head[0])?, self.shape.head_activation)?;
            all.extend(linear(&inner, &self.head[1])?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(all)
    }

    fn attend(&self, x: &Tensor, weights: &AttentionWeights) -> CandleResult<Tensor> {
        let width = self.shape.hidden / self.shape.heads;
        let [q, k, v, o] =
            [0, 1, 2, 3].map(|i| Affine { weight: weights.weights[i].clone(), bias: weights.biases[i].clone() });
        let (q, k, v) = (linear(x, &q)?, linear(x, &k)?, linear(x, &v)?);
        let mut heads = Vec::new();
        for head in 0..self.shape.heads {
            let [q, k, v] = [&q, &k, &v].map(|all| all.narrow(1, head * width, width).unwrap().contiguous().unwrap());
            let scores = (q.matmul(&k.t()?)? / (width as f64).sqrt())?;
            heads.push(candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?);
        }
        linear(&Tensor::cat(&heads, 1)?, &o)
    }

    fn norm(&self, x: &Tensor, affine: &Affine) -> CandleResult<Tensor> {
        candle_nn::ops::layer_norm_slow(x, &affine.weight, &affine.bias, self.shape.epsilon)
    }
}

fn linear(x: &Tensor, layer: &Affine) -> CandleResult<Tensor> {
    x.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)
}

fn activated(x: &Tensor, activation: Activation) -> CandleResult<Tensor> {
    match activation {
        Activation::None => Ok(x.clone()),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
    }
}

fn shape(heads: usize, width: usize, wide: usize, activation: Activation) -> EncoderShape {
    EncoderShape {
        vocabulary: 50,
        longest: 90,
        hidden: heads * width,
        wide,
        heads,
        labels: 3,
        activation,
        head_activation: Activation::Relu,
        epsilon: 1e-12,
    }
}

fn batch(lengths: &[usize]) -> Vec<Vec<u32>> {
    lengths.iter().map(|length| (0..*length).map(|i| (i * i + length) as u32 % 50).collect()).collect()
}

fn borrowed(sequences: &[Vec<u32>]) -> Vec<&[u32]> {
    sequences.iter().map(Vec::as_slice).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // A difference that is no number must not get lost.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |a, b| if b.is_nan() || b > a { b } else { a })
}

/// What the roundings of two layers may make of logits of about 1.
const TYPES: [(Precision, DType, f32); 5] = [
    (Precision::Float32, DType::F32, 2e-4),
    (Precision::Float16, DType::F16, 4e-2),
    (Precision::Bfloat16, DType::BF16, 3e-1),
    (Precision::Int8, DType::F16, 3e-1),
    (Precision::Float8, DType::F16, 6e-1),
];

fn activation() -> impl Strategy<Value = Activation> {
    use Activation::{Gelu, GeluTanh, None, Relu, Silu};
    prop::sample::select(vec![None, Gelu, GeluTanh, Relu, Silu])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equals_plain_operations(
        lengths in prop::collection::vec(1usize..40, 1..6),
        heads in 1usize..4,
        // A width that rows are read in vectors with, one that tensor cores take, or neither.
        width in prop_oneof![(1usize..6).prop_map(|n| n * 8), Just(32), Just(64), 5usize..20],
        wide in prop_oneof![(1usize..10).prop_map(|n| n * 16), 5usize..100],
        activation in activation(),
        layers in 1usize..3,
        which in 0usize..5,
    ) {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (precision, dtype, tolerance) = TYPES[which];
        let (width, wide) = match precision {
            Precision::Int8 | Precision::Float8 => (width.next_multiple_of(16), wide.next_multiple_of(16)),
            _ => (width, wide),
        };
        let plain = Plain::random(shape(heads, width, wide, activation), layers, dtype);
        let sequences = batch(&lengths);
        let found = plain.on_gpu(precision).unwrap().forward(&borrowed(&sequences)).unwrap().finish().unwrap();
        let expected = plain.logits(&borrowed(&sequences)).unwrap();
        let worst = largest_difference(&found, &expected);
        prop_assert!(worst <= tolerance, "{precision} {:?}: {worst}", plain.shape);
    }
}

/// In the order in which the emulator counts: see `tests/cuda/counters.h`.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    launches: u64,
    products: u64,
    uploads: u64,
    downloads: u64,
    others: [u64; 7],
}

unsafe extern "C" {
    /// Of the C library.
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// A function of the emulator's library, which is open. None on a GPU.
fn emulated(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: NULL asks for the first of that name in the process.
    let function = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!function.is_null()).then_some(function)
}

fn counts() -> Option<Counts> {
    let function = emulated(c"emulator_counters")?;
    // SAFETY: as `tests/cuda/counters.h` declares it.
    let read: unsafe extern "C" fn(*mut u64, u64) -> u64 = unsafe { std::mem::transmute(function) };
    let mut counts = [0; 11];
    // SAFETY: there is room for as many as are said.
    assert_eq!(unsafe { read(counts.as_mut_ptr(), 11) }, 11);
    let [launches, products, uploads, downloads, others @ ..] = counts;
    Some(Counts { launches, products, uploads, downloads, others })
}

fn reset_counts() {
    if let Some(function) = emulated(c"emulator_reset_counters") {
        // SAFETY: as `tests/cuda/counters.h` declares it.
        let reset: unsafe extern "C" fn() = unsafe { std::mem::transmute(function) };
        // SAFETY: it takes nothing.
        unsafe { reset() };
    }
}

/// The emulator counts what all threads of a process ask for.
#[test]
fn a_warm_forward_of_six_layers_is_one_upload_50_launches_and_one_copy_back() {
    // Also where there are several algorithms, which are timed before.
    for algorithms in ["1", "3"] {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.env("TEXTFLIGHT_EMULATOR_ALGORITHMS", algorithms);
        let done = alone.args(["--exact", "cuda::tests::counts_of_warm_forwards", "--ignored"]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
}

#[test]
#[ignore = "in a process of its own: see above"]
fn counts_of_warm_forwards() {
    let plain = Plain::random(shape(2, 32, 128, Activation::Gelu), 6, DType::F16);
    let encoder = plain.on_gpu(Precision::Float16).unwrap();
    // Others of the same size, rounded up.
    let (cold, warm) = (batch(&[20, 7, 33]), batch(&[33, 20, 5]));
    encoder.forward(&borrowed(&cold)).unwrap().finish().unwrap();
    let before = GPU.counters();
    reset_counts();
    for _ in 0..3 {
        encoder.forward(&borrowed(&warm)).unwrap().finish().unwrap();
    }
    let after = GPU.counters();
    let found = Counts {
        launches: after.launches - before.launches,
        products: after.products - before.products,
        uploads: after.uploads - before.uploads,
        downloads: after.downloads - before.downloads,
        others: [0; 7],
    };
    assert_eq!((after.forwards - before.forwards, found.uploads, found.downloads), (3, 3, 3));
    assert!((found.launches + found.products) / 3 <= 50, "{found:?}");
    assert_eq!((after.allocations, after.heuristics), (before.allocations, before.heuristics));
    // The device's own count, of every call: no allocations, no questions for algorithms, no events made, nothing else.
    if let Some(counts) = counts() {
        assert_eq!(counts, found);
    }
}

#[test]
fn a_batch_that_grows_and_one_that_is_dropped_leave_the_next_ones_alone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let plain = Plain::random(shape(2, 16, 64, Activation::Gelu), 2, DType::F32);
    let encoder = plain.on_gpu(Precision::Float32).unwrap();
    let batches: Vec<_> = [&[3][..], &[90; 12], &[1, 2, 3], &[40; 40], &[9]].map(batch).into();
    // All in the stream at once, and of the second nobody wants to know.
    let mut downloads: Vec<_> = batches.iter().map(|batch| encoder.forward(&borrowed(batch)).unwrap()).collect();
    drop(downloads.remove(1));
    for (download, batch) in downloads.into_iter().zip([0, 2, 3, 4].map(|i| &batches[i])) {
        let worst = largest_difference(&download.finish().unwrap(), &plain.logits(&borrowed(batch)).unwrap());
        assert!(worst < 2e-4, "{worst}");
    }
    assert!(encoder.forward(&[]).unwrap().finish().unwrap().is_empty());
}

#[test]
fn refuses_what_it_has_no_rows_or_kernels_for() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let encoder = Plain::random(shape(1, 16, 16, Activation::Relu), 1, DType::F32).on_gpu(Precision::Float32).unwrap();
    for (wrong, says) in [(vec![0; 91], "a sequence of 91 tokens"), (vec![], "0 tokens"), (vec![50], "token id 50")] {
        let Err(fault) = encoder.forward(&[&wrong]).map(drop) else { panic!("{says}") };
        assert!(matches!(&fault, Fault::Failed(text) if text.contains(says)), "{fault:?}");
    }
    let wide = Plain::random(shape(1, 130, 16, Activation::Relu), 1, DType::F32);
    let Err(fault) = wide.on_gpu(Precision::Float32).map(drop) else { panic!("a head of 130") };
    assert!(fault.to_string().contains("attention heads of 130"), "{fault}");
    let odd = Plain::random(shape(1, 8, 16, Activation::Relu), 1, DType::F32);
    let Err(fault) = odd.on_gpu(Precision::Float8).map(drop) else { panic!("fp8 of 8 columns") };
    assert!(fault.to_string().contains("layers of 8 and 16: in 8 bits both must be multiples of 16"), "{fault}");
}

#[test]
fn kernels_are_timed_when_somebody_asks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let encoder = Plain::random(shape(1, 32, 64, Activation::Gelu), 2, DType::F16).on_gpu(Precision::Float16).unwrap();
    let run = || encoder.forward(&borrowed(&batch(&[5, 6]))).unwrap().finish().unwrap();
    GPU.timings(true);
    run();
    run();
    let timings = GPU.timings(false);
    run();
    assert!(GPU.timings(false).is_empty());
    let calls = |kind: &str| timings.iter().find(|timing| timing.kind == kind).map(|timing| timing.calls);
    // Four of the first layer, five of the last, two of the head.
    assert_eq!((calls("product"), calls("attention"), calls("upload")), (Some(22), Some(4), Some(2)), "{timings:?}");
    assert!(timings.iter().any(|timing| !timing.time.is_zero()));
}

#[test]
fn a_card_says_what_it_is_and_how_fast_it_multiplies() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let facts = GPU.facts();
    assert!(facts.multiprocessors > 0 && facts.memory > 0 && !facts.card.is_empty(), "{facts:?}");
    assert!(facts.driver.starts_with("CUDA 1") && !facts.code.is_empty(), "{facts:?}");
    assert_eq!(facts.capability, GPU.capability().unwrap());
    for (precision, ..) in TYPES {
        assert!(GPU.product_rate(64, precision, std::time::Duration::ZERO).unwrap() > 0.0);
    }
}
