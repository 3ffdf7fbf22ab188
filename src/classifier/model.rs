//! The DistilBERT encoder with its classification head, over packed tokens.
//!
//! After Sanh et al., "DistilBERT, a distilled version of BERT" (2019), as Hugging Face transformers computes it. Linear
//! layers see all tokens of a batch as one matrix `[tokens, hidden]`; only attention knows where a sequence ends.

use candle_core::{D, Device, Result as CandleResult, Tensor};

use super::kernels::{Activation, FeedForward, Linear, Precision, Ragged, add_layer_norm, attention};
use super::model_config::ModelConfig;
use super::weights::Weights;
use crate::{Error, Result};

const LAYER_NORM_EPSILON: f32 = 1e-12;

/// A loaded network. Cheap to share: every forward leaves it as it was.
pub struct Model {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pre_classifier: Linear,
    classifier: Linear,
}

impl Model {
    /// Takes the tensors that `config` asks for out of `weights`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the two disagree.
    pub fn load(config: &ModelConfig, mut weights: Weights, device: &Device, precision: Precision) -> Result<Self> {
        let w = &mut Loader { weights: &mut weights, device, precision };
        let embeddings = Embeddings::load(w, config)?;
        let mut layers: Vec<Layer> = Vec::with_capacity(config.n_layers);
        for index in 0..config.n_layers {
            let norm = layers.last().map_or(&embeddings.norm, |layer| &layer.output_norm);
            layers.push(Layer::load(w, config, index, norm)?);
        }
        let pre_classifier =
            w.linear("pre_classifier", config.dim, config.dim, None)?.with_activation(Activation::Relu);
        let classifier = w.linear("classifier", config.dim, config.labels.len(), None)?;
        let model = Self { embeddings, layers, pre_classifier, classifier };
        weights.finish()?;
        Ok(model)
    }

    /// Logits `[sequences, labels]` of token sequences, each of 1 to `max_position_embeddings` ids below `vocab_size`.
    ///
    /// Calls `pause` before each half of a layer.
    ///
    /// # Errors
    /// When an id or a length is out of range, or the device fails.
    pub fn forward(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> CandleResult<Tensor> {
        let tokens = Ragged::from_lengths(sequences.iter().map(|s| s.len()));
        let mut x = self.embeddings.forward(sequences)?;
        let Some((last, rest)) = self.layers.split_last() else {
            candle_core::bail!("a model without layers");
        };
        for layer in rest {
            x = layer.forward(&x, &x, &tokens, &tokens, pause)?;
        }
        // The head reads the first token alone, so the last layer computes no other.
        let first = tokens.starts().iter().map(|i| *i as u32).collect::<Vec<_>>();
        let first = Tensor::new(first, x.device())?;
        let queries = x.index_select(&first, 0)?;
        let x = last.forward(&queries, &x, &Ragged::singles(tokens.len()), &tokens, pause)?;
        self.classifier.forward(&self.pre_classifier.forward(&x)?)
    }
}

struct Embeddings {
    words: Tensor,
    positions: Tensor,
    norm: Tensor,
}

impl Embeddings {
    fn load(w: &mut Loader<'_>, config: &ModelConfig) -> Result<Self> {
        Ok(Self {
            words: w.tensor("embeddings.word_embeddings.weight", &[config.vocab_size, config.dim])?,
            positions: w
                .tensor("embeddings.position_embeddings.weight", &[config.max_position_embeddings, config.dim])?,
            norm: w.norm("embeddings.LayerNorm", config.dim)?,
        })
    }

    /// `[tokens, hidden]`, the sequences one after the other.
    fn forward(&self, sequences: &[&[u32]]) -> CandleResult<Tensor> {
        let device = self.words.device();
        let positions: Vec<u32> = sequences.iter().flat_map(|s| (0..).zip(s.iter()).map(|(i, _)| i)).collect();
        let words = self.words.index_select(&Tensor::new(sequences.concat(), device)?, 0)?;
        let positions = self.positions.index_select(&Tensor::new(positions, device)?, 0)?;
        add_layer_norm(&words, &positions, &self.norm, LAYER_NORM_EPSILON)?;
        Ok(words)
    }
}

struct Layer {
    heads: usize,
    query: Linear,
    key_value: Linear,
    output: Linear,
    attention_norm: Tensor,
    feed_forward: FeedForward,
    output_norm: Tensor,
}

impl Layer {
    /// `norm` is the one whose output the layer reads.
    fn load(w: &mut Loader<'_>, config: &ModelConfig, index: usize, norm: &Tensor) -> Result<Self> {
        let name = |part: &str| format!("transformer.layer.{index}.{part}");
        let (dim, hidden) = (config.dim, config.hidden_dim);
        let attention_norm = w.norm(&name("sa_layer_norm"), dim)?;
        let widen = w.linear(&name("ffn.lin1"), dim, hidden, Some(&attention_norm))?;
        let narrow = w.linear(&name("ffn.lin2"), hidden, dim, None)?;
        Ok(Self {
            heads: config.n_heads,
            query: w.linear(&name("attention.q_lin"), dim, dim, Some(norm))?,
            key_value: w.joined(&[&name("attention.k_lin"), &name("attention.v_lin")], dim, dim, Some(norm))?,
            output: w.linear(&name("attention.out_lin"), dim, dim, None)?,
            attention_norm,
            feed_forward: FeedForward::new(widen.with_activation(config.activation), narrow).map_err(device_failed)?,
            output_norm: w.norm(&name("output_layer_norm"), dim)?,
        })
    }

    /// What the rows of `queries` see of all of `x`: `[query rows, hidden]`.
    fn forward(
        &self,
        queries: &Tensor,
        x: &Tensor,
        rows: &Ragged,
        tokens: &Ragged,
        pause: &dyn Fn(),
    ) -> CandleResult<Tensor> {
        pause();
        let context = attention(&self.query.forward(queries)?, &self.key_value.forward(x)?, rows, tokens, self.heads)?;
        let attended = self.output.forward(&context)?;
        add_layer_norm(&attended, queries, &self.attention_norm, LAYER_NORM_EPSILON)?;
        pause();
        let y = self.feed_forward.forward(&attended)?;
        add_layer_norm(&y, &attended, &self.output_norm, LAYER_NORM_EPSILON)?;
        Ok(y)
    }
}

/// Weights on their way to a device, laid out for the kernels once.
struct Loader<'a> {
    weights: &'a mut Weights,
    device: &'a Device,
    precision: Precision,
}

impl Loader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.weights.take(name, shape)?;
        tensor.to_device(self.device).map_err(device_failed)
    }

    fn linear(&mut self, name: &str, inner: usize, out: usize, norm: Option<&Tensor>) -> Result<Linear> {
        self.joined(&[name], inner, out, norm)
    }

    /// Layers that read the same input as one, their outputs side by side. `norm` gives that input, where one does.
    fn joined(&mut self, names: &[&str], inner: usize, out: usize, norm: Option<&Tensor>) -> Result<Linear> {
        let mut weights = Vec::with_capacity(names.len());
        let mut biases = Vec::with_capacity(names.len());
        for name in names {
            weights.push(self.tensor(&format!("{name}.weight"), &[out, inner])?);
            biases.push(self.tensor(&format!("{name}.bias"), &[out])?);
        }
        let join = || -> CandleResult<Linear> {
            let reach = norm.map(reach).transpose()?;
            Linear::new(&Tensor::cat(&weights, 0)?, &Tensor::cat(&biases, D::Minus1)?, reach.as_ref(), self.precision)
        };
        join().map_err(device_failed)
    }

    /// Weight above bias, `[2, width]`.
    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"), &[width])?;
        let bias = self.tensor(&format!("{name}.bias"), &[width])?;
        Tensor::stack(&[weight, bias], 0).map_err(device_failed)
    }
}

/// How far the outputs of a norm go: three standard deviations of 1, scaled and shifted.
fn reach(norm: &Tensor) -> CandleResult<Tensor> {
    norm.get(1)?.abs()? + (norm.get(0)?.abs()? * 3.0)?
}

fn device_failed(error: candle_core::Error) -> Error {
    Error::Failed(format!("the device failed while the weights were laid out: {error}"))
}
