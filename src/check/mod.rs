//! Whether a device computes what the CPU does, and how fast: for a machine that has neither checkpoints nor texts.
//!
//! Everything is made in place, and the same everywhere: a checkpoint of DistilBERT-base's size with random weights, and
//! texts of known lengths. Speed does not depend on a weight's value.

mod agreement;
mod card;
mod checkpoint;
mod counting;
mod product;
mod random;
mod report;
mod speed;
mod tables;
mod texts;

pub use card::Card;
pub use checkpoint::{Size, write_checkpoint};
pub use report::Report;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use self::report::Measurement;
use self::speed::SpeedTrial;
use self::texts::Texts;
use crate::classifier::kernels::Place;
use crate::classifier::{Checkpoint, Classifier, DTypeChoice, DeviceChoice, KernelChoice, ModelSource, Precision};
use crate::{Error, Result};

/// What is checked, and how thoroughly.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The device that is compared with the CPU: the first of those named.
    pub device: DeviceChoice,
    /// Where CUDA's libraries are, if not where the system has them.
    pub cuda_libraries: Option<PathBuf>,
    /// By which kernels the CPU computes.
    pub kernels: KernelChoice,
    /// Where the checkpoint and the texts go.
    pub work: PathBuf,
    /// How large the checkpoint is.
    pub size: Size,
    /// Texts whose scores are compared.
    pub agreement_texts: NonZeroUsize,
    /// Texts of a measurement of speed.
    pub rows: NonZeroUsize,
    /// How long one measurement goes on, at least.
    pub duration: Duration,
}

/// Mean lengths of the texts, in tokens with the two special ones.
const MEANS: [usize; 4] = [16, 25, 64, 128];

/// Batches that are measured, in rows.
const BATCHES: [usize; 3] = [32, 128, 512];

/// The mean length at which a GPU's time is taken apart: that of usual texts.
const USUAL_MEAN: usize = 25;

/// Where texts are cut: above the longest of a mean of 128.
const MAX_LENGTH: usize = 256;

/// Texts whose logits go to a file, for others to compare theirs with.
const SAMPLE: usize = 32;

/// Checks a device, and writes the checkpoint and the token sequences that it used to the work folder. Takes minutes.
///
/// # Errors
/// When the folder cannot be written, the device cannot be used or fails.
pub fn check(options: &CheckOptions) -> Result<Report> {
    // First of all: who has no such device need not wait for a checkpoint to hear it.
    let places = options.device.open(options.cuda_libraries.as_ref())?;
    options.kernels.settle(&places)?;
    let model = options.work.join("model");
    info!(folder = %model.display(), "making a checkpoint with random weights");
    write_checkpoint(&model, options.size)?;
    let checkpoint = Checkpoint::open(&ModelSource::Folder(model))?;
    let load = |place: &Place, precision| Classifier::load_at(&checkpoint, MAX_LENGTH, precision, place);

    let texts = Texts::new(options.size.vocabulary());
    let reference = load(&Place::Cpu, Precision::Float32)?;
    write_json(&options.work.join("logits.json"), &agreement::sample(&reference, &texts, SAMPLE)?)?;
    for mean in MEANS {
        let texts = texts.of_mean(mean, options.rows.get());
        let ids = texts.iter().map(|text| Ok(reference.encode(text)?.ids)).collect::<Result<Vec<_>>>()?;
        write_json(&options.work.join(format!("tokens-{mean}.json")), &ids)?;
    }
    let expected = agreement::Expected::new(&reference, texts.of_mean(25, options.agreement_texts.get()))?;
    drop(reference);

    let place = &places[0];
    let mut report = Report::new(place);
    info!(device = report.device, card = report.card, "checking");
    for precision in Precision::ALL {
        if let Err(why) = DTypeChoice::Exactly(precision).precision(place) {
            info!(dtype = %precision, %why, "not checked");
            continue;
        }
        let classifier = Arc::new(load(place, precision)?);
        report.agreement.push(expected.compare(&classifier, precision, options.size)?);
        let product = product::measure(place, precision, options.size.is_base(), options.duration)?;
        info!(dtype = %precision, tflops = product, "the device's own product");
        report.add_product(precision, product);
        for mean in MEANS {
            let column = texts.of_mean(mean, options.rows.get());
            measure(&classifier, &column, (precision, mean), options, &mut report)?;
        }
    }
    Ok(report)
}

/// The speed of texts of a mean length, in batches of each size; on a GPU also of that which it has unless it is told otherwise.
fn measure(
    classifier: &Arc<Classifier>,
    column: &[String],
    (precision, mean): (Precision, usize),
    options: &CheckOptions,
    report: &mut Report,
) -> Result<()> {
    let usual = classifier.is_on_gpu().then_some(speed::BatchSize::Usual);
    for size in BATCHES.into_iter().map(speed::BatchSize::Rows).chain(usual) {
        let course = SpeedTrial::new(classifier, column, size, mean)?;
        let found = course.speed(options.duration)?;
        let (batch_rows, usual) = match size {
            speed::BatchSize::Rows(rows) => (rows, false),
            speed::BatchSize::Usual => (found.batch_tokens / mean, true),
        };
        let rows_per_second = found.rows_per_second;
        info!(dtype = %precision, mean_tokens = mean, batch_rows, rows_per_second, "speed");
        let measured = Measurement { precision, mean, batch_rows, usual };
        report.add_speed(measured, &found, options.size);
        if mean == USUAL_MEAN {
            let (times, forwards) = course.kernels()?;
            report.add_kernels(measured, &times, forwards);
        }
    }
    Ok(())
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(|e| Error::file(path, e))?;
    std::fs::write(path, json).map_err(|e| Error::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself() {
        let folder = tempfile::tempdir().unwrap();
        let options = CheckOptions {
            device: DeviceChoice::Cpu,
            cuda_libraries: None,
            kernels: KernelChoice::Auto,
            work: folder.path().to_owned(),
            size: Size::Tiny,
            agreement_texts: NonZeroUsize::new(64).unwrap(),
            rows: NonZeroUsize::new(40).unwrap(),
            duration: Duration::ZERO,
        };
        let report = check(&options).unwrap();
        let dtypes: Vec<_> = report.agreement.iter().map(|a| a.dtype.as_str()).collect();
        assert_eq!(dtypes, ["f32", "bf16", "int8"]);
        let f32 = &report.agreement[0];
        assert_eq!((f32.texts, f32.labels_equal, f32.enough), (64, 64, true));
        assert_eq!(f32.max_logit_difference, 0.0);
        assert!(report.agreement.iter().all(|a| a.logit_bound > 0.0));
        assert!(report.agreement[1].max_logit_difference > 0.0);
        assert_eq!(report.speed.len(), 3 * MEANS.len() * BATCHES.len());
        assert!(report.speed.iter().all(|s| s.rows_per_second > 0.0 && s.utilization > 0.0));
        assert!(report.speed.iter().all(|s| (1..=s.batch_rows.min(40)).contains(&s.median_rows)));
        assert!(report.speed.iter().all(|s| s.median_tokens > s.median_rows && s.host_us.is_none() && !s.usual));
        assert!(report.kernels.is_empty() && report.facts.is_none());
        let ids: Vec<Vec<u32>> =
            serde_json::from_slice(&std::fs::read(folder.path().join("tokens-25.json")).unwrap()).unwrap();
        let mean = ids.iter().map(Vec::len).sum::<usize>() as f64 / ids.len() as f64;
        assert!(ids.len() == 40 && (mean - 25.0).abs() < 2.0, "{mean}");
        assert!(report.agreement.iter().all(|a| !a.kernels.is_empty()));
        let table = report.to_string();
        assert!(table.contains("| f32 | 64 of 64 |"), "{table}");
    }
}
