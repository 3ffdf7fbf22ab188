//! `cargo bench --bench tokenizer`: texts into ids by ours and by the `tokenizers` crate, the same texts in the same process. One thread.
//!
//! Sentences are those of `data/reviews.parquet`; long texts are one to twenty of them in a row. `TEXTFLIGHT_BENCH_TEXTS` names a file
//! with others, one a line.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

mod support;

use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::AsArray;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokenizers::Tokenizer;

fn tokenize(c: &mut Criterion) {
    let sentences = sentences();
    texts_of(c, "sentences", &sentences);
    let mut rest = sentences.as_slice();
    let mut mixed = Vec::new();
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rest.len().min(1 + mixed.len() * 7 % 20));
        mixed.push(some.join(" "));
        rest = others;
    }
    texts_of(c, "mixed", &mixed);
    if let Some(path) = std::env::var_os("TEXTFLIGHT_BENCH_TEXTS") {
        let lines = fs::read_to_string(path).expect("a file of texts");
        texts_of(c, "yours", &lines.lines().map(str::to_owned).collect::<Vec<_>>());
    }
}

fn texts_of(c: &mut Criterion, name: &str, texts: &[String]) {
    let (ours, theirs) = (support::bundled(), theirs());
    for text in texts {
        let (ours, theirs) = (ours.encode(text).expect("ids"), theirs.encode_fast(text.as_str(), true).expect("ids"));
        let theirs = theirs.get_ids();
        // But for the last of a text that is cut off, which is the same in all.
        let kept = ours.ids.len() - 1;
        assert!(ours.tokens == theirs.len() && ours.ids[..kept] == theirs[..kept], "{text}");
    }
    let mut group = c.benchmark_group(format!("tokenizer-{name}"));
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("ours", |b| {
        b.iter(|| {
            for text in texts {
                black_box(ours.encode(black_box(text)).expect("ids"));
            }
        });
    });
    group.bench_function("tokenizers", |b| {
        b.iter(|| {
            for text in texts {
                black_box(theirs.encode_fast(black_box(text.as_str()), true).expect("ids"));
            }
        });
    });
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// The crate's, of the same files, which cuts off no text.
fn theirs() -> Tokenizer {
    let mut tokenizer = Tokenizer::from_file(data("sst2-mini/tokenizer.json")).expect("a tokenizer");
    tokenizer.with_truncation(None).expect("none");
    tokenizer.with_padding(None);
    tokenizer
}

fn sentences() -> Vec<String> {
    let file = File::open(data("reviews.parquet")).expect("the reviews");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
    let mut sentences = Vec::new();
    for batch in reader.expect("a reader") {
        let batch = batch.expect("a batch");
        let texts = batch.column_by_name("text").expect("a column").as_string::<i32>();
        sentences.extend(texts.iter().flatten().map(str::to_owned));
    }
    sentences
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
