//! The encoder with its classification head, over packed tokens; `architecture` says what a family makes of it.
//!
//! After Sanh et al., "DistilBERT, a distilled version of BERT" (2019), as Hugging Face transformers computes it. Linear
//! layers see all tokens of a batch as one matrix `[tokens, hidden]`; only attention knows where a sequence ends.

use candle_core::{DType, Result as CandleResult, Tensor};

use super::architecture::{Family, ModelConfig, sinusoids};
use super::kernels::{
    AttentionWeights, FeedForward, LayerNorm, Linear, Place, Precision, Ragged, RowAttention, SelfAttention, Team,
    cause, select_rows,
};
use super::weights::Weights;
use crate::{Error, Result};

/// A loaded network. Cheap to share: every forward leaves it as it was.
pub struct Network {
    place: Place,
    embeddings: Embeddings,
    layers: Vec<Layer<SelfAttention>>,
    /// The head reads the first token alone, so the last layer computes no other.
    last: Layer<RowAttention>,
    head: [Linear; 2],
}

impl Network {
    /// Takes the tensors that `config` asks for out of `weights`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the two disagree, and [`Error::Failed`] when the device fails.
    pub fn load(config: &ModelConfig, mut weights: Weights, place: &Place, precision: Precision) -> Result<Self> {
        let w = &mut Loader { weights: &mut weights, family: config.family, place, precision };
        let embeddings = Embeddings::load(w, config)?;
        let mut layers = Vec::with_capacity(config.n_layers);
        let mut reach = embeddings.norm.reach().map_err(device_failed)?;
        for index in 1..config.n_layers {
            let (layer, outputs) = Layer::load(w, config, index - 1, &reach, SelfAttention::new)?;
            layers.push(layer);
            reach = outputs;
        }
        let (last, _) = Layer::load(w, config, layers.len(), &reach, RowAttention::new)?;
        // A head is a row a text: on a GPU it costs nothing to have its logits in f32.
        w.precision = place.head_precision(precision);
        let head = &config.family.head;
        let inner = w.linear(head.inner, config.dim, config.dim, None)?.with_activation(head.activation);
        let outer = w.linear(head.outer, config.dim, config.labels.len(), None)?;
        let model = Self { place: place.clone(), embeddings, layers, last, head: [inner, outer] };
        weights.finish()?;
        Ok(model)
    }

    /// Logits `[sequences, labels]`, f32, of token sequences, each of 1 to `max_position_embeddings` ids below `vocab_size`.
    ///
    /// On the CPU `team` shares what each half of a layer computes. Calls `pause` before each of them.
    ///
    /// # Errors
    /// When an id or a length is out of range, or the device fails.
    pub fn forward(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> CandleResult<Tensor> {
        let tokens = Ragged::from_lengths(sequences.iter().map(|s| s.len())).at(&self.place)?;
        let mut x = self.embeddings.forward(sequences, &self.place)?;
        for layer in &self.layers {
            pause();
            x = layer.attention.forward(x, &tokens, team)?;
            pause();
            x = layer.feed_forward.forward(x, team)?;
        }
        let first: Vec<u32> = tokens.starts().iter().map(|i| *i as u32).collect();
        let first = select_rows(&x, &self.place.upload(&first)?)?;
        pause();
        let first = self.last.attention.forward(first, &x, &tokens, team)?;
        pause();
        let x = self.last.feed_forward.forward(first, team)?.to_dtype(DType::F32)?;
        let [inner, outer] = &self.head;
        outer.forward(&inner.forward(&x, team)?, team)
    }
}

impl Drop for Network {
    /// Weights are given back in the GPU's context, which the thread that drops them may never have entered.
    fn drop(&mut self) {
        self.place.enter();
    }
}

struct Embeddings {
    words: Tensor,
    /// From the position of a text's first token on.
    positions: Tensor,
    norm: LayerNorm,
}

impl Embeddings {
    fn load(w: &mut Loader<'_>, config: &ModelConfig) -> Result<Self> {
        let (family, shape) = (config.family, [config.max_position_embeddings, config.dim]);
        let positions = if config.sinusoidal_positions && !w.weights.has(family.positions) {
            sinusoids(shape[0], shape[1]).map_err(device_failed)?
        } else {
            w.weights.take(family.positions, &shape)?
        };
        let positions = positions.narrow(0, family.position_offset, config.longest());
        Ok(Self {
            words: w.weights.take(family.words, &[config.vocab_size, config.dim]).and_then(|words| w.table(&words))?,
            positions: positions.map_err(device_failed).and_then(|positions| w.table(&positions))?,
            norm: w.norm(family.embedding_norm, config.dim)?,
        })
    }

    /// `[tokens, hidden]`, the sequences one after the other.
    fn forward(&self, sequences: &[&[u32]], place: &Place) -> CandleResult<Tensor> {
        self.check(sequences)?;
        let positions: Vec<u32> = sequences.iter().flat_map(|s| (0..).zip(s.iter()).map(|(i, _)| i)).collect();
        let words = select_rows(&self.words, &place.upload(&sequences.concat())?)?;
        let positions = select_rows(&self.positions, &place.upload(&positions)?)?;
        self.norm.add(&words, &positions)?;
        Ok(words)
    }

    /// That every id and every position has a row: the kernel of a GPU does not look.
    fn check(&self, sequences: &[&[u32]]) -> CandleResult<()> {
        let (words, positions) = (self.words.dim(0)?, self.positions.dim(0)?);
        for sequence in sequences {
            if !(1..=positions).contains(&sequence.len()) {
                candle_core::bail!("a sequence of {} tokens: the model takes 1 to {positions}", sequence.len());
            }
            if let Some(id) = sequence.iter().find(|id| **id as usize >= words) {
                candle_core::bail!("token id {id}: the model has {words}");
            }
        }
        Ok(())
    }
}

/// A layer with one of the kinds of attention.
struct Layer<A> {
    attention: A,
    feed_forward: FeedForward,
}

/// Lays out one of the kinds of attention.
type NewAttention<A> = fn(&AttentionWeights, LayerNorm, usize, &Tensor, Precision, &Place) -> CandleResult<A>;

impl<A> Layer<A> {
    /// Takes and gives how far the inputs and outputs of the layer go: see [`LayerNorm::reach`].
    fn load(
        w: &mut Loader<'_>,
        config: &ModelConfig,
        index: usize,
        reach: &Tensor,
        attention: NewAttention<A>,
    ) -> Result<(Self, Tensor)> {
        let family = config.family;
        let name = |part: &str| format!("{}.{index}.{part}", family.layers);
        let (dim, hidden) = (config.dim, config.hidden_dim);
        let weights = w.attention(family.attention.map(name), dim)?;
        let norm = w.norm(&name(family.attention_norm), dim)?;
        let attended = norm.reach().map_err(device_failed)?;
        let attention =
            attention(&weights, norm, config.n_heads, reach, w.precision, w.place).map_err(device_failed)?;
        let widen = w.linear(&name(family.widen), dim, hidden, Some(&attended))?.with_activation(config.activation);
        let narrow = w.linear(&name(family.narrow), hidden, dim, None)?;
        let norm = w.norm(&name(family.output_norm), dim)?;
        let outputs = norm.reach().map_err(device_failed)?;
        let feed_forward = FeedForward::new(widen, narrow, norm).map_err(device_failed)?;
        Ok((Self { attention, feed_forward }, outputs))
    }
}

/// Weights on their way to a device, laid out for the kernels once.
struct Loader<'a> {
    weights: &'a mut Weights,
    family: &'static Family,
    place: &'a Place,
    precision: Precision,
}

impl Loader<'_> {
    /// Rows to look up, in the type of the activations.
    fn table(&self, rows: &Tensor) -> Result<Tensor> {
        let table = rows.to_dtype(self.place.dtype(self.precision));
        table.and_then(|table| table.to_device(self.place.device())).map_err(device_failed)
    }

    fn linear(&mut self, name: &str, inner: usize, out: usize, reach: Option<&Tensor>) -> Result<Linear> {
        let (weight, bias) = self.weight_and_bias(name, &[out, inner])?;
        Linear::new(&weight, &bias, reach, self.precision, self.place).map_err(device_failed)
    }

    fn attention(&mut self, names: [String; 4], hidden: usize) -> Result<AttentionWeights> {
        let mut layer = |name: &String| self.weight_and_bias(name, &[hidden, hidden]);
        let [(q, q_bias), (k, k_bias), (v, v_bias), (o, o_bias)] =
            [layer(&names[0])?, layer(&names[1])?, layer(&names[2])?, layer(&names[3])?];
        Ok(AttentionWeights { weights: [q, k, v, o], biases: [q_bias, k_bias, v_bias, o_bias] })
    }

    /// On the CPU.
    fn weight_and_bias(&mut self, name: &str, shape: &[usize]) -> Result<(Tensor, Tensor)> {
        let weight = self.weights.take(&format!("{name}.weight"), shape)?;
        let bias = self.weights.take(&format!("{name}.bias"), &shape[..1])?;
        Ok((weight, bias))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<LayerNorm> {
        let (weight, bias) = self.weight_and_bias(name, &[width])?;
        LayerNorm::new(&weight, &bias, self.family.norm_epsilon, self.place).map_err(device_failed)
    }
}

fn device_failed(error: candle_core::Error) -> Error {
    Error::Failed(format!("the device failed while the weights were laid out: {}", cause(&error)))
}
