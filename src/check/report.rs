//! What a check found, as JSON and as tables for people.

use std::fmt;

use serde::Serialize;

use super::Size;
use super::agreement::Agreement;
use crate::classifier::Precision;
use crate::classifier::kernels::Place;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this program.
    pub textflight: &'static str,
    /// `cpu`, `cuda:0`
    pub device: String,
    /// What the card is called; nothing on the CPU.
    pub card: Option<String>,
    /// Scores beside those of f32 on the CPU.
    pub agreement: Vec<Agreement>,
    /// The device's own matrix product.
    pub product: Vec<Product>,
    /// Rows a second.
    pub speed: Vec<Speed>,
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
    /// Rows of a batch, at most.
    pub batch_rows: usize,
    /// Rows a second, tokenizing included.
    pub rows_per_second: f64,
    /// What these rows must compute, in TFLOP a second.
    pub useful_tflops: f64,
    /// That over the device's own product.
    pub utilization: f64,
}

impl Report {
    /// Nothing found yet.
    pub fn new(place: &Place) -> Self {
        Self {
            textflight: env!("CARGO_PKG_VERSION"),
            device: place.name(),
            card: place.card(),
            agreement: Vec::new(),
            product: Vec::new(),
            speed: Vec::new(),
        }
    }

    /// Whether all scores are as close as they should be.
    pub fn agrees(&self) -> bool {
        self.agreement.iter().all(|agreement| agreement.enough)
    }

    pub(super) fn add_product(&mut self, precision: Precision, tflops: f64) {
        self.product.push(Product { dtype: precision.to_string(), tflops });
    }

    pub(super) fn add_speed(
        &mut self,
        precision: Precision,
        mean: usize,
        batch_rows: usize,
        rows_per_second: f64,
        size: Size,
    ) {
        let dtype = precision.to_string();
        let useful_tflops = rows_per_second * size.useful_flop(mean as f64) / 1e12;
        let product = self.product.iter().find(|product| product.dtype == dtype).map_or(f64::NAN, |p| p.tflops);
        self.speed.push(Speed {
            dtype,
            mean_tokens: mean,
            batch_rows,
            rows_per_second,
            useful_tflops,
            utilization: useful_tflops / product,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let card = self.card.as_ref().map_or(String::new(), |card| format!(", {card}"));
        writeln!(f, "textflight {} on {}{card}\n", self.textflight, self.device)?;
        writeln!(
            f,
            "| dtype | labels equal to f32 on the CPU | largest difference of a logit | of a confidence | | kernels |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for a in &self.agreement {
            let verdict = if a.enough { "good" } else { "TOO FAR" };
            writeln!(
                f,
                "| {} | {} of {} | {:.2e} | {:.2e} | {verdict} | {} |",
                a.dtype, a.labels_equal, a.texts, a.max_logit_difference, a.max_confidence_difference, a.kernels
            )?;
        }
        writeln!(f, "\n| dtype | mean tokens | batch rows | rows/s | useful TFLOP/s | of the device's own product |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for s in &self.speed {
            writeln!(
                f,
                "| {} | {} | {} | {:.0} | {:.3} | {:.0} % |",
                s.dtype,
                s.mean_tokens,
                s.batch_rows,
                s.rows_per_second,
                s.useful_tflops,
                100.0 * s.utilization
            )?;
        }
        Ok(())
    }
}
