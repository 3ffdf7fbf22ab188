//! `cargo bench --bench kernels`: every kernel of this processor at the sizes of DistilBERT-base, on one thread. Criterion's
//! "elements a second" are operations: Gelem/s are GFLOP/s.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

use std::hint::black_box;
use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use textflight::classifier::kernels::{
    AbsorbedAttention, Activation, AttentionWeights, Kernel, LayerNorm, PackedAttention, PackedFeedForward,
    PackedLinear, Precision, Ragged, Team, attention,
};

const HIDDEN: usize = 768;
const WIDE: usize = 3072;
const HEADS: usize = 12;

fn random(rows: usize, columns: usize) -> Tensor {
    Tensor::randn(0f32, 1f32, (rows, columns), &Device::Cpu).expect("a tensor")
}

fn operations(n: usize) -> Throughput {
    Throughput::Elements(n as u64)
}

fn linear(c: &mut Criterion) {
    for precision in PRECISIONS {
        for kernel in Kernel::all(precision) {
            let mut group = c.benchmark_group(format!("linear {precision} {}", kernel.name()));
            group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
            for (inner, out) in [(HIDDEN, HIDDEN), (HIDDEN, WIDE), (WIDE, HIDDEN)] {
                let bias = random(1, out).get(0).expect("a row");
                let layer = PackedLinear::with_kernel(&random(out, inner), &bias, None, kernel).expect("a layer");
                for rows in [1, 32, 256, 816] {
                    let x = random(rows, inner);
                    group.throughput(operations(2 * rows * inner * out));
                    group.bench_function(BenchmarkId::new(format!("{inner} to {out}"), rows), |b| {
                        b.iter(|| layer.forward(black_box(&x), &Team::alone()));
                    });
                }
            }
        }
    }
}

fn norm() -> LayerNorm {
    let [weight, bias] = [(); 2].map(|()| random(1, HIDDEN).get(0).expect("a row"));
    LayerNorm::new(&weight, &bias, 1e-12).expect("a norm")
}

const PRECISIONS: [Precision; 3] = [Precision::Float32, Precision::Bfloat16, Precision::Int8];

/// Both layers with GELU between them, and what follows.
fn feed_forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("feed-forward");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for precision in PRECISIONS {
        let layer = |inner, out| {
            let bias = random(1, out).get(0).expect("a row");
            PackedLinear::new(&random(out, inner), &bias, None, precision).expect("a layer")
        };
        let (widen, narrow) = (layer(HIDDEN, WIDE).with_activation(Activation::Gelu), layer(WIDE, HIDDEN));
        let block = PackedFeedForward::new(widen, narrow, norm()).expect("layers that fit");
        let x = random(816, HIDDEN);
        group.throughput(operations(4 * 816 * HIDDEN * WIDE));
        group.bench_function(BenchmarkId::new(precision.to_string(), 816), |b| {
            b.iter(|| block.forward(black_box(&x), &Team::alone()));
        });
    }
}

/// All of a layer's attention, for 32 sequences of 25 rows: of all rows, and of the first of each alone.
fn self_attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("self-attention");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let sequences = Ragged::from_lengths([25; 32]);
    let (x, first) = (random(sequences.rows(), HIDDEN), random(sequences.len(), HIDDEN));
    let weights = AttentionWeights {
        weights: [(); 4].map(|()| random(HIDDEN, HIDDEN)),
        biases: [(); 4].map(|()| random(1, HIDDEN).get(0).expect("a row")),
    };
    for precision in PRECISIONS {
        let all = PackedAttention::new(&weights, norm(), HEADS, None, precision).expect("a layer");
        group.throughput(operations(32 * (25 * 8 * HIDDEN * HIDDEN + 4 * 25 * 25 * HIDDEN)));
        group.bench_function(BenchmarkId::new("all rows", precision), |b| {
            b.iter(|| all.forward(black_box(&x), &sequences, &Team::alone()));
        });
        let absorbed = AbsorbedAttention::new(&weights, norm(), HEADS, None, precision).expect("a layer");
        group.throughput(operations(32 * (8 * HIDDEN * HIDDEN + 4 * 25 * HEADS * HIDDEN)));
        group.bench_function(BenchmarkId::new("first rows", precision), |b| {
            b.iter(|| absorbed.forward(black_box(&first), &x, &sequences, &Team::alone()));
        });
    }
}

/// 32 sequences of one length.
fn attend(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for length in [8, 25, 64, 128] {
        let tokens = Ragged::from_lengths([length; 32]);
        let (query, key_value) = (random(tokens.rows(), HIDDEN), random(tokens.rows(), 2 * HIDDEN));
        group.throughput(operations(4 * 32 * length * length * HIDDEN));
        group.bench_function(BenchmarkId::from_parameter(length), |b| {
            b.iter(|| attention(black_box(&query), &key_value, &tokens, &tokens, HEADS));
        });
    }
}

fn normalize(c: &mut Criterion) {
    let (x, residual, norm) = (random(816, HIDDEN), random(816, HIDDEN), norm());
    let mut group = c.benchmark_group("add-layer-norm");
    group.throughput(operations(816 * HIDDEN)).sample_size(20).measurement_time(Duration::from_secs(1));
    group.bench_function("816", |b| b.iter(|| norm.add(black_box(&x), &residual)));
}

criterion_group!(benches, linear, feed_forward, self_attention, attend, normalize);
criterion_main!(benches);
