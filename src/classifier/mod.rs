//! Texts → scores: tokenizer, network and labels of one checkpoint. No async, no network but the hub's, no queue.

mod blank;
mod checkpoint;
mod device;
mod hub;
pub mod kernels;
mod label;
mod model;
mod model_config;
pub mod plan;
mod scores;
#[cfg(test)]
pub mod testing;
mod tokenize;
mod weights;

pub use blank::is_blank;
pub use checkpoint::{Checkpoint, DEFAULT_MODEL, ModelSource, TokenizerFiles};
pub use device::{DTypeChoice, DeviceChoice};
pub use model_config::ModelConfig;
pub use scores::{Score, Scores};
pub use tokenize::{EMPTY_TEXT, Encoding};

use candle_core::{DType, Device};

use self::model::Model;
use self::tokenize::TextTokenizer;
use self::weights::Weights;
use crate::{Error, Result};

/// How a checkpoint is to be served.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierOptions {
    /// Where it runs.
    pub device: DeviceChoice,
    /// In which precision.
    pub dtype: DTypeChoice,
    /// Where texts are cut, in tokens with the special ones.
    pub max_length: usize,
}

impl Default for ClassifierOptions {
    fn default() -> Self {
        Self { device: DeviceChoice::Auto, dtype: DTypeChoice::Auto, max_length: 128 }
    }
}

/// What serves, for logs, health and clients.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ModelInfo {
    /// What `--model` named.
    pub name: String,
    /// The hub's commit, if it came from there.
    pub revision: Option<String>,
    /// `cpu`
    pub device: String,
    /// `f32`, `bf16` or `int8`
    pub dtype: String,
    /// Class names in class order.
    pub labels: Vec<String>,
    /// Where texts are cut, in tokens with the special ones.
    pub max_length: usize,
}

/// A checkpoint, loaded and proven by one forward.
pub struct Classifier {
    tokenizer: TextTokenizer,
    model: Model,
    info: ModelInfo,
}

impl Classifier {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] names the file that is unusable, and [`Error::Invalid`] the option that does not fit.
    pub fn load(checkpoint: &Checkpoint, options: ClassifierOptions) -> Result<Self> {
        let wrong = |cause: String| Error::Checkpoint(format!("{}: {cause}", checkpoint.config.display()));
        let json = std::fs::read_to_string(&checkpoint.config).map_err(|e| wrong(e.to_string()))?;
        let config = ModelConfig::parse(&json).map_err(wrong)?;
        let tokenizer = TextTokenizer::load(&checkpoint.tokenizer, config.vocab_size, options.max_length)?;
        let lengths = tokenizer.specials() + 1..=config.max_position_embeddings;
        if !lengths.contains(&options.max_length) {
            return Err(Error::Invalid(format!(
                "--max-length {}: this model takes {} to {} tokens",
                options.max_length,
                lengths.start(),
                lengths.end()
            )));
        }
        let device = options.device.open()?;
        let precision = options.dtype.precision();
        let model = Model::load(&config, Weights::open(&checkpoint.weights)?, &device, precision)?;
        let info = ModelInfo {
            name: checkpoint.name.clone(),
            revision: checkpoint.revision.clone(),
            device: device_name(&device),
            dtype: precision.to_string(),
            labels: config.labels,
            max_length: options.max_length,
        };
        let classifier = Self { tokenizer, model, info };
        classifier
            .prove()
            .map_err(|e| Error::Checkpoint(format!("{}: a first forward failed: {e}", checkpoint.weights.display())))?;
        Ok(classifier)
    }

    /// What serves.
    pub const fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The token ids of one text, truncated; a blank text is read as [`EMPTY_TEXT`].
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        self.tokenizer.encode(text)
    }

    /// Logits of token sequences as [`Classifier::encode`] gives them, `classes` for each, one after the other.
    ///
    /// # Errors
    /// [`Error::Failed`] when the device fails.
    pub fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<f32>> {
        self.logits_with_pauses(sequences, &|| ())
    }

    fn logits_with_pauses(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<f32>> {
        let forward = || self.model.forward(sequences, pause)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        forward().map_err(|e| Error::Failed(format!("the forward of {} sequences failed: {e}", sequences.len())))
    }

    /// The scores of token sequences.
    ///
    /// # Errors
    /// [`Error::Failed`] when the device fails, or a logit is not a finite number.
    pub fn score(&self, sequences: &[&[u32]]) -> Result<Vec<Score>> {
        self.score_with_pauses(sequences, &|| ())
    }

    /// [`Classifier::score`] that calls `pause` between the model's layers, for its thread to do what is more urgent.
    ///
    /// # Errors
    /// As for [`Classifier::score`].
    pub fn score_with_pauses(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>> {
        let classes = self.info.labels.len();
        let logits = self.logits_with_pauses(sequences, pause)?;
        logits
            .chunks_exact(classes)
            .map(|logits| {
                let mut probabilities = vec![0.0; classes].into_boxed_slice();
                label::classify(logits, &mut probabilities)
                    .map(|label| Score { label, probabilities })
                    .ok_or_else(|| Error::Failed(format!("the model gave {logits:?}, which is no score")))
            })
            .collect()
    }

    /// One forward at full length, so that what cannot run fails before a port opens.
    fn prove(&self) -> Result<()> {
        let text = "a ".repeat(self.info.max_length);
        self.score(&[&self.encode(&text)?.ids, &self.encode("")?.ids]).map(drop)
    }
}

fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}
