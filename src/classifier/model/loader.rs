//! The tensors of a network, found by the names of its family.

use super::super::architecture::{ModelConfig, sinusoids};
use super::super::kernels::{Affine, AttentionWeights, EmbeddingWeights, LayerWeights, cause};
use super::super::weights::Weights;
use crate::{Error, Result};

/// Weights on their way to a device.
pub struct Loader<'a> {
    /// Where they are.
    pub weights: &'a mut Weights,
    /// What they are.
    pub config: &'a ModelConfig,
}

impl Loader<'_> {
    /// What turns ids into the first layer's input.
    ///
    /// # Errors
    /// As for [`Weights::take`], and here as in all below.
    pub fn embeddings(&mut self) -> Result<EmbeddingWeights> {
        let (config, family) = (self.config, self.config.family);
        let shape = [config.max_position_embeddings, config.dim];
        let positions = if config.sinusoidal_positions && !self.weights.has(family.positions) {
            sinusoids(shape[0], shape[1]).map_err(no_memory)?
        } else {
            self.weights.take(family.positions, &shape)?
        };
        Ok(EmbeddingWeights {
            positions: positions.narrow(0, family.position_offset, config.longest()).map_err(no_memory)?,
            words: self.weights.take(family.words, &[config.vocab_size, config.dim])?,
            norm: self.affine(family.embedding_norm, &[config.dim])?,
        })
    }

    /// A layer of the encoder.
    pub fn layer(&mut self, index: usize) -> Result<LayerWeights> {
        let (config, family) = (self.config, self.config.family);
        let (dim, wide) = (config.dim, config.hidden_dim);
        let name = |part: &str| format!("{}.{index}.{part}", family.layers);
        Ok(LayerWeights {
            attention: self.attention(family.attention.map(name))?,
            attention_norm: self.affine(&name(family.attention_norm), &[dim])?,
            widen: self.affine(&name(family.widen), &[wide, dim])?,
            narrow: self.affine(&name(family.narrow), &[dim, wide])?,
            output_norm: self.affine(&name(family.output_norm), &[dim])?,
        })
    }

    /// The two layers of the classification head.
    pub fn head(&mut self) -> Result<[Affine; 2]> {
        let (dim, head) = (self.config.dim, &self.config.family.head);
        let inner = self.affine(head.inner, &[dim, dim])?;
        Ok([inner, self.affine(head.outer, &[self.config.labels.len(), dim])?])
    }

    fn attention(&mut self, names: [String; 4]) -> Result<AttentionWeights> {
        let dim = self.config.dim;
        let mut layer = |name: &String| self.affine(name, &[dim, dim]);
        let [q, k, v, o] = [layer(&names[0])?, layer(&names[1])?, layer(&names[2])?, layer(&names[3])?];
        Ok(AttentionWeights {
            weights: [q.weight, k.weight, v.weight, o.weight],
            biases: [q.bias, k.bias, v.bias, o.bias],
        })
    }

    fn affine(&mut self, name: &str, shape: &[usize]) -> Result<Affine> {
        let weight = self.weights.take(&format!("{name}.weight"), shape)?;
        let bias = self.weights.take(&format!("{name}.bias"), &shape[..1])?;
        Ok(Affine { weight, bias })
    }
}

fn no_memory(error: candle_core::Error) -> Error {
    Error::Failed(format!("the weights could not be laid out: {}", cause(&error)))
}
