//! What a checkpoint has for an encoder: f32 tensors on the CPU, as PyTorch stores them, before they are laid out anywhere.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::Activation;

/// The sizes of an encoder and its classification head, and what stands between its layers.
#[derive(Debug, Clone, Copy)]
pub struct EncoderShape {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Tokens of the longest sequence: rows of the table of positions.
    pub longest: usize,
    /// Values of a token.
    pub hidden: usize,
    /// Values between the two layers of the feed-forward block.
    pub wide: usize,
    /// Attention heads; they divide `hidden`.
    pub heads: usize,
    /// Classes.
    pub labels: usize,
    /// What stands between the two layers of the feed-forward block.
    pub activation: Activation,
    /// What stands between the two layers of the head.
    pub head_activation: Activation,
    /// What all norms add to a variance.
    pub epsilon: f32,
}

impl EncoderShape {
    /// That every id and every position has a row.
    ///
    /// # Errors
    /// A sentence about the first sequence for which that is not so.
    pub fn check(&self, sequences: &[&[u32]]) -> std::result::Result<(), String> {
        for sequence in sequences {
            if !(1..=self.longest).contains(&sequence.len()) {
                return Err(format!("a sequence of {} tokens: the model takes 1 to {}", sequence.len(), self.longest));
            }
            if let Some(id) = sequence.iter().find(|id| **id as usize >= self.vocabulary) {
                return Err(format!("token id {id}: the model has {}", self.vocabulary));
            }
        }
        Ok(())
    }
}

/// A linear layer, or the affine part of a LayerNorm.
pub struct Affine {
    /// `[out, in]`, or `[width]` of a LayerNorm.
    pub weight: Tensor,
    /// `[out]`, or `[width]`
    pub bias: Tensor,
}

/// What turns ids into the first layer's input.
pub struct EmbeddingWeights {
    /// `[vocabulary, hidden]`
    pub words: Tensor,
    /// `[longest, hidden]`, from the position of a text's first token on.
    pub positions: Tensor,
    /// The norm of their sum.
    pub norm: Affine,
}

/// A layer of the encoder.
pub struct LayerWeights {
    /// Attention with its projections.
    pub attention: AttentionWeights,
    /// The norm after attention.
    pub attention_norm: Affine,
    /// `[wide, hidden]`
    pub widen: Affine,
    /// `[hidden, wide]`
    pub narrow: Affine,
    /// The norm after the feed-forward block.
    pub output_norm: Affine,
}

/// Queries, keys, values and outputs.
pub struct AttentionWeights {
    /// Each `[hidden, hidden]`
    pub weights: [Tensor; 4],
    /// Each `[hidden]`
    pub biases: [Tensor; 4],
}

impl AttentionWeights {
    /// # Errors
    /// When there is a layer of another shape, or the heads do not share `hidden` evenly.
    pub fn check(&self, hidden: usize, heads: usize) -> Result<()> {
        let square = self.weights.iter().all(|weight| weight.dims() == [hidden, hidden]);
        let wide = self.biases.iter().all(|bias| bias.dims() == [hidden]);
        if !square || !wide || heads == 0 || !hidden.is_multiple_of(heads) {
            bail!("attention: {heads} heads of {hidden}, layers of {:?}", self.weights.each_ref().map(Tensor::dims));
        }
        Ok(())
    }

    /// Weight and bias of some of the layers, one above the other.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub fn joined(&self, layers: Range<usize>) -> Result<(Tensor, Tensor)> {
        Ok((Tensor::cat(&self.weights[layers.clone()], 0)?, Tensor::cat(&self.biases[layers], 0)?))
    }
}

#[cfg(test)]
pub mod testing {
    use candle_core::Device;

    use super::*;
    use crate::LayerNorm;

    pub const HIDDEN: usize = 24;

    pub fn random(shape: &[usize]) -> Result<Tensor> {
        Tensor::randn(0f32, 1f32, shape, &Device::Cpu)
    }

    pub fn norm() -> Result<LayerNorm> {
        LayerNorm::new(&random(&[HIDDEN])?, &random(&[HIDDEN])?, 1e-12)
    }

    pub fn weights(hidden: usize) -> Result<AttentionWeights> {
        let weight = || random(&[hidden, hidden])? * 0.3;
        let weights = [weight()?, weight()?, weight()?, weight()?];
        let biases = [random(&[hidden])?, random(&[hidden])?, random(&[hidden])?, random(&[hidden])?];
        Ok(AttentionWeights { weights, biases })
    }
}
