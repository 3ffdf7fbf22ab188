//! The encoder with its classification head, over packed tokens; `architecture` says what a family makes of it.
//!
//! After Sanh et al., "DistilBERT, a distilled version of BERT" (2019), as Hugging Face transformers computes it. Linear
//! layers see all tokens of a batch as one matrix `[tokens, hidden]`; only attention knows where a sequence ends.

mod loader;
mod packed;

use self::loader::Loader;
use self::packed::PackedNetwork;
use super::architecture::ModelConfig;
use super::kernels::cuda::GpuEncoder;
use super::kernels::{EncoderShape, Fault, Logits, Place, Precision, Team, cause};
use super::weights::Weights;
use crate::Result;

/// A loaded network. Every forward leaves it as it was.
pub struct Network {
    shape: EncoderShape,
    laid_out: LaidOut,
}

enum LaidOut {
    /// For the kernels of the CPU.
    Packed(Box<PackedNetwork>),
    /// In the memory of a GPU.
    OnGpu(Box<GpuEncoder>),
}

impl Network {
    /// Takes the tensors that `config` asks for out of `weights`, a layer at a time.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] when the two disagree, and what the device says when it fails.
    pub fn load(config: &ModelConfig, mut weights: Weights, place: &Place, precision: Precision) -> Result<Self> {
        let shape = shape(config);
        let mut loader = Loader { weights: &mut weights, config };
        let laid_out = match place {
            Place::Cpu => LaidOut::Packed(Box::new(PackedNetwork::load(&mut loader, shape, precision)?)),
            Place::Gpu(gpu) => {
                let embeddings = loader.embeddings()?;
                let loader = std::cell::RefCell::new(loader);
                let layers = (0..config.n_layers).map(|index| loader.borrow_mut().layer(index));
                let head = || loader.borrow_mut().head();
                LaidOut::OnGpu(Box::new(GpuEncoder::new(gpu, shape, precision, embeddings, layers, head)?))
            }
        };
        weights.finish()?;
        Ok(Self { shape, laid_out })
    }

    /// Logits `[sequences, labels]`, one after the other, of token sequences, each of 1 to `longest` ids below `vocabulary`.
    ///
    /// On the CPU `team` shares what each half of a layer computes, and `pause` is called before each of them. A GPU computes
    /// when this returns.
    ///
    /// # Errors
    /// When an id or a length is out of range, or the device fails.
    pub fn begin(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> Result<Logits, Fault> {
        match &self.laid_out {
            LaidOut::OnGpu(encoder) => encoder.forward(sequences).map(Logits::Coming),
            LaidOut::Packed(network) => {
                let failed = |why: String| {
                    Fault::Failed(format!("the forward of {} sequences on cpu failed: {why}", sequences.len()))
                };
                self.shape.check(sequences).map_err(failed)?;
                let logits = network.forward(sequences, team, pause).map_err(|e| failed(cause(&e)))?;
                Ok(Logits::Here(logits))
            }
        }
    }
}

const fn shape(config: &ModelConfig) -> EncoderShape {
    EncoderShape {
        vocabulary: config.vocab_size,
        longest: config.longest(),
        hidden: config.dim,
        wide: config.hidden_dim,
        heads: config.n_heads,
        labels: config.labels.len(),
        activation: config.activation,
        head_activation: config.family.head.activation,
        epsilon: config.family.norm_epsilon,
    }
}
