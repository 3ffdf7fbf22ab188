//! Texts → scores: tokenizer, network and labels of one checkpoint. No async, no network but the hub's, no queue.

pub mod architecture;
pub mod batch;
mod blank;
mod bundled;
mod checkpoint;
mod device;
mod facts;
mod hub;
mod kernel_choice;
mod label;
mod model;
mod scores;
mod tokenizer;
mod weight_files;
mod weights;

pub use architecture::ModelConfig;
pub use blank::is_blank;
pub use checkpoint::{Checkpoint, DEFAULT_MODEL, ModelSource, TokenizerFiles};
pub use device::{DTypeChoice, DeviceChoice};
pub use facts::ModelFacts;
pub use kernel_choice::KernelChoice;
pub use scores::{BatchScores, Score, Scores, TextScore};
pub use textflight_kernels as kernels;
pub use textflight_kernels::Precision;
pub use tokenizer::{EMPTY_TEXT, Encoding};
pub use weight_files::WeightFiles;

use std::panic::resume_unwind;
use std::path::PathBuf;

use self::kernels::{Place, Team};
use self::model::Network;
use self::tokenizer::TextTokenizer;
use self::weights::Weights;
use crate::panics::{Panicked, caught};
use crate::{Error, Result};

/// How a checkpoint is to be served.
#[derive(Debug, Clone)]
pub struct ClassifierOptions {
    /// Where it runs.
    pub device: DeviceChoice,
    /// Where CUDA's libraries are, if not where the system has them.
    pub cuda_libraries: Option<PathBuf>,
    /// In which precision.
    pub dtype: DTypeChoice,
    /// By which kernels on the CPU.
    pub kernels: KernelChoice,
    /// Where texts are cut, in tokens with the special ones.
    pub max_length: usize,
}

impl ClassifierOptions {
    /// The devices, at least one, with the kernels settled.
    fn places(&self) -> Result<Vec<Place>> {
        let places = self.device.open(self.cuda_libraries.as_ref())?;
        self.kernels.settle(&places)?;
        Ok(places)
    }
}

/// What serves, for logs, health and clients.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModelInfo {
    /// What `--model` named.
    pub name: String,
    /// The hub's commit, if it came from there.
    pub revision: Option<String>,
    /// `cpu`, `cuda:0`, or several as `cuda:0,cuda:1`
    pub device: String,
    /// `f32`, `f16`, `bf16`, `int8` or `fp8`
    pub dtype: String,
    /// Class names in class order.
    pub labels: Vec<String>,
    /// Where texts are cut, in tokens with the special ones.
    pub max_length: usize,
    /// Which kernels multiply it, and the family of the others: scores of other ones may differ by how they round.
    pub kernels: String,
}

/// A checkpoint on one device, loaded and proven by one forward.
pub struct Classifier {
    tokenizer: TextTokenizer,
    place: Place,
    model: Network,
    info: ModelInfo,
}

impl Classifier {
    /// Loads a checkpoint on one device, the first of those that the options name.
    ///
    /// # Errors
    /// As for [`Classifier::load_each`].
    pub fn load(checkpoint: &Checkpoint, options: &ClassifierOptions) -> Result<Self> {
        let places = options.places()?;
        Self::load_at(checkpoint, options.max_length, options.dtype.precision(&places[0])?, &places[0])
    }

    /// Loads a checkpoint on each of the devices that the options name: at least one.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] names the file that is unusable, and [`Error::Invalid`] the option that does not fit.
    pub fn load_each(checkpoint: &Checkpoint, options: &ClassifierOptions) -> Result<Vec<Self>> {
        let places = options.places()?;
        let precision = common_precision(options.dtype, &places)?;
        places.iter().map(|place| Self::load_at(checkpoint, options.max_length, precision, place)).collect()
    }

    /// Loads a checkpoint on a device that is open.
    ///
    /// # Errors
    /// As for [`Classifier::load_each`].
    pub fn load_at(checkpoint: &Checkpoint, max_length: usize, precision: Precision, place: &Place) -> Result<Self> {
        // Tokenizers and tensors of strangers are read in here, by code that may panic at what it does not expect.
        caught(|| Self::load_parts(checkpoint, max_length, precision, place))
            .unwrap_or_else(|panicked| Err(unloadable(checkpoint, &panicked)))
    }

    fn load_parts(checkpoint: &Checkpoint, max_length: usize, precision: Precision, place: &Place) -> Result<Self> {
        let wrong = |cause: String| Error::Checkpoint(format!("{}: {cause}", checkpoint.config.display()));
        let json = std::fs::read_to_string(&checkpoint.config).map_err(|e| wrong(e.to_string()))?;
        let config = ModelConfig::parse(&json).map_err(wrong)?;
        // Side by side: with a small model the one takes about as long as the other.
        let load = || TextTokenizer::load(&checkpoint.config, &checkpoint.tokenizer, config.vocab_size, max_length);
        let (tokenizer, model) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| caught(load));
            let weights = Weights::open(&checkpoint.weights, config.family);
            let model = weights.and_then(|weights| Network::load(&config, weights, place, precision));
            (tokenizer.join().unwrap_or_else(|panic| resume_unwind(panic)), model)
        });
        let tokenizer = tokenizer.map_err(|panicked| unloadable(checkpoint, &panicked))??;
        let lengths = tokenizer.specials() + 1..=config.longest();
        if !lengths.contains(&max_length) {
            return Err(Error::Invalid(format!(
                "--max-length {max_length}: this model takes {} to {} tokens",
                lengths.start(),
                lengths.end()
            )));
        }
        let model = model?;
        let info = ModelInfo {
            name: checkpoint.name.clone(),
            revision: checkpoint.revision.clone(),
            device: place.name(),
            dtype: precision.to_string(),
            labels: config.labels,
            max_length,
            kernels: place.kernels(precision),
        };
        let classifier = Self { tokenizer, place: place.clone(), model, info };
        let weights = checkpoint.weights.path().display();
        classifier.prove().map_err(|e| Error::Checkpoint(format!("{weights}: a first forward failed: {e}")))?;
        Ok(classifier)
    }

    /// What serves.
    pub const fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The token ids of one text, truncated; a blank text is read as [`EMPTY_TEXT`].
    ///
    /// # Errors
    /// As for [`Classifier::encode_in_pieces`].
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        self.encode_in_pieces(text, &|| ())
    }

    /// [`Classifier::encode`], which calls `pause` between the pieces of a long text, for its thread to do what is more
    /// urgent.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text holds a token that the model has no row for, [`Error::TooLarge`] when it is long
    /// and cannot be cut into pieces, and [`Error::Failed`] when the tokenizer fails.
    pub fn encode_in_pieces(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding> {
        self.tokenizer.encode(text, pause)
    }

    /// Logits of token sequences as [`Classifier::encode`] gives them, `classes` for each, one after the other.
    ///
    /// # Errors
    /// As for [`Classifier::score`].
    pub fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<f32>> {
        Ok(self.model.begin(sequences, &Team::alone(), &|| ())?.finish()?)
    }

    /// The scores of token sequences.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when a smaller batch may do, [`Error::Stopped`] when the device is lost for this process,
    /// and [`Error::Failed`] when it failed otherwise, or a logit is not a finite number.
    pub fn score(&self, sequences: &[&[u32]]) -> Result<Vec<Score>> {
        self.score_batch(sequences, &Team::alone(), &|| ())?.into_iter().collect()
    }

    /// [`Classifier::score`], each sequence for itself. On the CPU it shares the work out among `team`, and calls `pause`
    /// between half layers, for its thread to do what is more urgent; on a GPU a forward is not interrupted.
    ///
    /// # Errors
    /// As there; a sequence whose logits are not finite numbers has an error of its own, which is none of the batch's.
    pub fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores {
        Ok(self.classify(&self.model.begin(sequences, team, pause)?.finish()?))
    }

    /// Where it lies.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it runs on a device of its own, so that its threads mostly wait.
    pub const fn is_on_gpu(&self) -> bool {
        !matches!(self.place, Place::Cpu)
    }

    /// Scores out of logits, `classes` a row.
    fn classify(&self, logits: &[f32]) -> Vec<Result<Score>> {
        let classes = self.info.labels.len();
        let rows = logits.chunks_exact(classes);
        rows.map(|logits| {
            let mut probabilities = vec![0.0; classes].into_boxed_slice();
            label::classify(logits, &mut probabilities)
                .map(|label| Score { label, probabilities })
                .ok_or_else(|| Error::Failed(format!("the model gave {logits:?}, which is no score")))
        })
        .collect()
    }

    /// Two batches, one at full length, so that what cannot run fails before a port opens.
    fn prove(&self) -> Result<()> {
        let (long, short) = (self.encode(&"a ".repeat(self.info.max_length))?.ids, self.encode("")?.ids);
        let batches: [&[&[u32]]; 2] = [&[&long, &short], &[&short]];
        batches.into_iter().try_for_each(|batch| self.score(batch).map(drop))
    }
}

fn unloadable(checkpoint: &Checkpoint, panicked: &Panicked) -> Error {
    Error::Checkpoint(format!("the model {} cannot be loaded: {panicked}", checkpoint.name))
}

/// The precision that all devices have: a text's score must not depend on which of them is free.
fn common_precision(dtype: DTypeChoice, places: &[Place]) -> Result<Precision> {
    let precisions = places.iter().map(|place| dtype.precision(place)).collect::<Result<Vec<_>>>()?;
    match precisions.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => Ok(*first),
        _ => Err(Error::Invalid(
            "--dtype auto would differ between these devices: name the one that all of them shall use".to_owned(),
        )),
    }
}
