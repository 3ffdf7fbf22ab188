//! The network on the CPU, its layers laid out for the kernels there.

use candle_core::{Device, Result as CandleResult, Tensor};

use super::super::kernels::{
    AbsorbedAttention, Affine, AttentionWeights, Embedding, EncoderShape, LayerNorm, LayerWeights, PackedAttention,
    PackedFeedForward, PackedLinear, Precision, Ragged, Team, cause,
};
use super::loader::Loader;
use crate::{Error, Result};

/// The network on the CPU.
pub struct PackedNetwork {
    embedding: Embedding,
    layers: Vec<Layer<PackedAttention>>,
    /// The head reads the first token alone, so the last layer computes no other.
    last: Layer<AbsorbedAttention>,
    head: [PackedLinear; 2],
}

impl PackedNetwork {
    /// Lays out what `loader` finds.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a tensor is not as it should be, and [`Error::Failed`] when it cannot be laid out.
    pub fn load(loader: &mut Loader<'_>, shape: EncoderShape, precision: Precision) -> Result<Self> {
        let embedding = Embedding::new(loader.embeddings()?, shape.epsilon).map_err(cannot)?;
        let mut reach = embedding.norm().reach().map_err(cannot)?;
        let last = loader.config.n_layers - 1;
        let mut layers = Vec::with_capacity(last);
        for index in 0..last {
            let (layer, outputs) =
                Layer::new(loader.layer(index)?, shape, &reach, precision, PackedAttention::new).map_err(cannot)?;
            layers.push(layer);
            reach = outputs;
        }
        let (last, _) =
            Layer::new(loader.layer(last)?, shape, &reach, precision, AbsorbedAttention::new).map_err(cannot)?;
        let [inner, outer] = loader.head()?;
        let inner = linear(&inner, None, precision).map_err(cannot)?.with_activation(shape.head_activation);
        let head = [inner, linear(&outer, None, precision).map_err(cannot)?];
        Ok(Self { embedding, layers, last, head })
    }

    /// Logits `[sequences, labels]`, one after the other, of sequences that the model takes.
    ///
    /// # Errors
    /// None that is known.
    pub fn forward(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> CandleResult<Vec<f32>> {
        let tokens = Ragged::from_lengths(sequences.iter().map(|s| s.len()));
        let x = self.embedding.forward(sequences, team)?;
        for layer in &self.layers {
            pause();
            layer.attention.forward(&x, &tokens, team)?;
            pause();
            layer.feed_forward.forward(&x, team)?;
        }
        let first: Vec<u32> = tokens.starts().iter().map(|i| *i as u32).collect();
        let first = x.index_select(&Tensor::new(first, &Device::Cpu)?, 0)?;
        pause();
        self.last.attention.forward(&first, &x, &tokens, team)?;
        pause();
        self.last.feed_forward.forward(&first, team)?;
        let [inner, outer] = &self.head;
        outer.forward(&inner.forward(&first, team)?, team)?.flatten_all()?.to_vec1()
    }
}

/// A layer with one of the kinds of attention.
struct Layer<A> {
    attention: A,
    feed_forward: PackedFeedForward,
}

/// Lays out one of the kinds of attention.
type NewAttention<A> = fn(&AttentionWeights, LayerNorm, usize, Option<&Tensor>, Precision) -> CandleResult<A>;

impl<A> Layer<A> {
    /// Takes and gives how far the inputs and outputs of the layer go: see [`LayerNorm::reach`].
    fn new(
        weights: LayerWeights,
        shape: EncoderShape,
        reach: &Tensor,
        precision: Precision,
        attention: NewAttention<A>,
    ) -> CandleResult<(Self, Tensor)> {
        let norm = layer_norm(&weights.attention_norm, shape.epsilon)?;
        let attended = norm.reach()?;
        let attention = attention(&weights.attention, norm, shape.heads, Some(reach), precision)?;
        let widen = linear(&weights.widen, Some(&attended), precision)?.with_activation(shape.activation);
        let narrow = linear(&weights.narrow, None, precision)?;
        let norm = layer_norm(&weights.output_norm, shape.epsilon)?;
        let outputs = norm.reach()?;
        Ok((Self { attention, feed_forward: PackedFeedForward::new(widen, narrow, norm)? }, outputs))
    }
}

fn linear(weights: &Affine, reach: Option<&Tensor>, precision: Precision) -> CandleResult<PackedLinear> {
    PackedLinear::new(&weights.weight, &weights.bias, reach, precision)
}

fn layer_norm(weights: &Affine, epsilon: f32) -> CandleResult<LayerNorm> {
    LayerNorm::new(&weights.weight, &weights.bias, epsilon)
}

fn cannot(error: candle_core::Error) -> Error {
    Error::Failed(format!("the weights could not be laid out: {}", cause(&error)))
}
