//! What a check found, as JSON; `tables.rs` has it for people.

use std::time::Duration;

use serde::Serialize;

use super::agreement::Agreement;
use super::counting::Forwards;
use super::speed::Throughput;
use super::{Card, Size};
use crate::classifier::Precision;
use crate::classifier::kernels::{KernelTime, Place};

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this program.
    pub textflight: &'static str,
    /// `cpu`, `cuda:0`
    pub device: String,
    /// What the card is called; nothing on the CPU.
    pub card: Option<String>,
    /// What its driver says of it.
    pub facts: Option<Card>,
    /// Scores beside those of f32 on the CPU.
    pub agreement: Vec<Agreement>,
    /// The device's own matrix product.
    pub product: Vec<Product>,
    /// Rows a second.
    pub speed: Vec<Speed>,
    /// Where a forward's time goes on a GPU.
    pub kernels: Vec<Kernels>,
}

/// A large matrix product.
#[derive(Debug, Clone, Serialize)]
pub struct Product {
    /// The precision.
    pub dtype: String,
    /// TFLOP/s
    pub tflops: f64,
}

/// Rows a second through the whole engine.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// The precision.
    pub dtype: String,
    /// Mean length of the texts, in tokens.
    pub mean_tokens: usize,
    /// Rows of a batch, at most; on a GPU as many tokens as these have.
    pub batch_rows: usize,
    /// Tokens of a batch, at most.
    pub batch_tokens: usize,
    /// Whether that is what a server does on this device, unless it is told otherwise.
    pub usual: bool,
    /// The median of the rows that the engine's forwards had.
    pub median_rows: usize,
    /// And of their tokens.
    pub median_tokens: usize,
    /// What a forward took of the thread that put it into a GPU's stream, in microseconds.
    pub host_us: Option<f64>,
    /// Rows a second, tokenizing included.
    pub rows_per_second: f64,
    /// What these rows must compute, in TFLOP a second.
    pub useful_tflops: f64,
    /// That over the device's own product.
    pub utilization: f64,
}

/// Where the time of a GPU's forwards goes.
#[derive(Debug, Clone, Serialize)]
pub struct Kernels {
    /// The precision.
    pub dtype: String,
    /// Mean length of the texts, in tokens.
    pub mean_tokens: usize,
    /// The median of the forwards' rows.
    pub median_rows: usize,
    /// And of their tokens.
    pub median_tokens: usize,
    /// Each kind, that which takes most first.
    pub kinds: Vec<KindTime>,
}

/// All kernels of one kind in a forward.
#[derive(Debug, Clone, Serialize)]
pub struct KindTime {
    /// What they do.
    pub kind: String,
    /// How many a forward.
    pub calls: f64,
    /// What they take of it, in microseconds.
    pub us: f64,
}

/// A measurement's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measurement {
    pub precision: Precision,
    pub mean: usize,
    pub batch_rows: usize,
    pub usual: bool,
}

impl Report {
    /// Nothing found yet.
    pub fn new(place: &Place) -> Self {
        Self {
            textflight: env!("CARGO_PKG_VERSION"),
            device: place.name(),
            card: place.card(),
            facts: Card::of(place),
            agreement: Vec::new(),
            product: Vec::new(),
            speed: Vec::new(),
            kernels: Vec::new(),
        }
    }

    /// Whether all scores are as close as they should be.
    pub fn agrees(&self) -> bool {
        self.agreement.iter().all(|agreement| agreement.enough)
    }

    pub(super) fn add_product(&mut self, precision: Precision, tflops: f64) {
        self.product.push(Product { dtype: precision.to_string(), tflops });
    }

    pub(super) fn add_speed(&mut self, measured: Measurement, found: &Throughput, size: Size) {
        let dtype = measured.precision.to_string();
        let useful_tflops = found.rows_per_second * size.useful_flop(measured.mean as f64) / 1e12;
        let product = self.product.iter().find(|product| product.dtype == dtype).map_or(f64::NAN, |p| p.tflops);
        self.speed.push(Speed {
            dtype,
            mean_tokens: measured.mean,
            batch_rows: measured.batch_rows,
            batch_tokens: found.batch_tokens,
            usual: measured.usual,
            median_rows: found.forwards.rows,
            median_tokens: found.forwards.tokens,
            host_us: found.host.map(microseconds),
            rows_per_second: found.rows_per_second,
            useful_tflops,
            utilization: useful_tflops / product,
        });
    }

    pub(super) fn add_kernels(&mut self, measured: Measurement, times: &[KernelTime], forwards: Forwards) {
        if times.is_empty() {
            return;
        }
        let each = forwards.count.max(1) as f64;
        let kind = |time: &KernelTime| KindTime {
            kind: time.kind.to_owned(),
            calls: time.calls as f64 / each,
            us: microseconds(time.time) / each,
        };
        let mut kinds: Vec<KindTime> = times.iter().map(kind).collect();
        kinds.sort_by(|a, b| b.us.total_cmp(&a.us));
        self.kernels.push(Kernels {
            dtype: measured.precision.to_string(),
            mean_tokens: measured.mean,
            median_rows: forwards.rows,
            median_tokens: forwards.tokens,
            kinds,
        });
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
