//! `cargo bench --bench classifier`: tokenizing, and the forward at several rows and lengths. One thread.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

mod random_base;
mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use textflight::classifier::Classifier;

const REVIEW: &str =
    "it 's a charming and often affecting journey , which the director never lets slip into sentiment .";

fn tokenize(c: &mut Criterion) {
    let classifier = support::bundled();
    let mut group = c.benchmark_group("tokenize");
    for repeats in [1, 5] {
        let text = [REVIEW].repeat(repeats).join(" ");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(text.len()), &text, |b, text| {
            b.iter(|| classifier.encode(black_box(text)));
        });
    }
}

fn forward(c: &mut Criterion) {
    for (name, classifier) in [("forward-mini", support::bundled()), ("forward-base", random_base::random_base())] {
        forward_of(c, name, &classifier);
    }
}

fn forward_of(c: &mut Criterion, name: &str, classifier: &Classifier) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for rows in [1, 8, 32] {
        for tokens in [16, 64, 128] {
            let sequences: Vec<Vec<u32>> =
                (0..rows).map(|row| (0..tokens).map(|i| 1000 + (row * tokens + i) % 5000).collect()).collect();
            let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
            group.throughput(Throughput::Elements(u64::from(rows)));
            group.bench_function(BenchmarkId::new(format!("{rows} rows"), format!("{tokens} tokens")), |b| {
                b.iter(|| classifier.score(black_box(&sequences)));
            });
        }
    }
}

criterion_group!(benches, tokenize, forward);
criterion_main!(benches);
