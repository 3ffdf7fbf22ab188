//! The DistilBERT encoder with its classification head, over packed tokens.
//!
//! After Sanh et al., "DistilBERT, a distilled version of BERT" (2019), as Hugging Face transformers computes it. Linear
//! layers see all tokens of a batch as one matrix `[tokens, hidden]`; only attention knows where a sequence ends.

use candle_core::{DType, Device, Result as CandleResult, Tensor};

use super::kernels::{
    Activation, FeedForward, Linear, Place, Precision, Projections, Ragged, add_layer_norm, attention, cause,
    select_rows,
};
use super::model_config::ModelConfig;
use super::weights::Weights;
use crate::{Error, Result};

const LAYER_NORM_EPSILON: f32 = 1e-12;

/// A loaded network. Cheap to share: every forward leaves it as it was.
pub struct Model {
    place: Place,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pre_classifier: Linear,
    classifier: Linear,
}

impl Model {
    /// Takes the tensors that `config` asks for out of `weights`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the two disagree, and [`Error::Failed`] when the device fails.
    pub fn load(config: &ModelConfig, mut weights: Weights, place: &Place, precision: Precision) -> Result<Self> {
        let w = &mut Loader { weights: &mut weights, place, precision };
        let embeddings = Embeddings::load(w, config)?;
        let mut layers: Vec<Layer> = Vec::with_capacity(config.n_layers);
        for index in 0..config.n_layers {
            let norm = layers.last().map_or(&embeddings.norm, |layer| &layer.output_norm);
            layers.push(Layer::load(w, config, index, norm)?);
        }
        // A head is a row a text: on a GPU it costs nothing to have its logits in f32.
        w.precision = place.head_precision(precision);
        let pre_classifier =
            w.linear("pre_classifier", config.dim, config.dim, None)?.with_activation(Activation::Relu);
        let classifier = w.linear("classifier", config.dim, config.labels.len(), None)?;
        let model = Self { place: place.clone(), embeddings, layers, pre_classifier, classifier };
        weights.finish()?;
        Ok(model)
    }

    /// Logits `[sequences, labels]`, f32, of token sequences, each of 1 to `max_position_embeddings` ids below `vocab_size`.
    ///
    /// Calls `pause` before each half of a layer.
    ///
    /// # Errors
    /// When an id or a length is out of range, or the device fails.
    pub fn forward(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> CandleResult<Tensor> {
        let tokens = Ragged::from_lengths(sequences.iter().map(|s| s.len())).at(&self.place)?;
        let mut x = self.embeddings.forward(sequences, &self.place)?;
        let Some((last, rest)) = self.layers.split_last() else {
            candle_core::bail!("a model without layers");
        };
        for layer in rest {
            x = layer.forward(None, &x, &tokens, &tokens, pause)?;
        }
        // The head reads the first token alone, so the last layer computes no other.
        let first: Vec<u32> = tokens.starts().iter().map(|i| *i as u32).collect();
        let queries = select_rows(&x, &self.place.upload(&first)?)?;
        let rows = Ragged::singles(tokens.len()).at(&self.place)?;
        let x = last.forward(Some(&queries), &x, &rows, &tokens, pause)?.to_dtype(DType::F32)?;
        self.classifier.forward(&self.pre_classifier.forward(&x)?)
    }
}

#[cfg(feature = "cuda")]
impl Drop for Model {
    /// Weights are given back in the GPU's context, which the thread that drops them may never have entered.
    fn drop(&mut self) {
        if let Place::Gpu(gpu) = &self.place {
            gpu.enter();
        }
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
            words: w.table("embeddings.word_embeddings.weight", &[config.vocab_size, config.dim])?,
            positions: w
                .table("embeddings.position_embeddings.weight", &[config.max_position_embeddings, config.dim])?,
            norm: w.norm("embeddings.LayerNorm", config.dim)?,
        })
    }

    /// `[tokens, hidden]`, the sequences one after the other.
    fn forward(&self, sequences: &[&[u32]], place: &Place) -> CandleResult<Tensor> {
        self.check(sequences)?;
        let positions: Vec<u32> = sequences.iter().flat_map(|s| (0..).zip(s.iter()).map(|(i, _)| i)).collect();
        let words = select_rows(&self.words, &place.upload(&sequences.concat())?)?;
        let positions = select_rows(&self.positions, &place.upload(&positions)?)?;
        add_layer_norm(&words, &positions, &self.norm, LAYER_NORM_EPSILON)?;
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

struct Layer {
    heads: usize,
    projections: Projections,
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
            projections: w.projections(
                ["q_lin", "k_lin", "v_lin"].map(|n| name(&format!("attention.{n}"))),
                dim,
                norm,
            )?,
            output: w.linear(&name("attention.out_lin"), dim, dim, None)?,
            attention_norm,
            feed_forward: FeedForward::new(widen.with_activation(config.activation), narrow).map_err(device_failed)?,
            output_norm: w.norm(&name("output_layer_norm"), dim)?,
        })
    }

    /// What the rows of `queries`, or else all rows, see of all of `x`: `[query rows, hidden]`.
    fn forward(
        &self,
        queries: Option<&Tensor>,
        x: &Tensor,
        rows: &Ragged,
        tokens: &Ragged,
        pause: &dyn Fn(),
    ) -> CandleResult<Tensor> {
        pause();
        let (query, key_value) = self.projections.forward(queries, x)?;
        let context = attention(&query, &key_value, rows, tokens, self.heads)?;
        let attended = self.output.forward(&context)?;
        add_layer_norm(&attended, queries.unwrap_or(x), &self.attention_norm, LAYER_NORM_EPSILON)?;
        pause();
        let y = self.feed_forward.forward(&attended)?;
        add_layer_norm(&y, &attended, &self.output_norm, LAYER_NORM_EPSILON)?;
        Ok(y)
    }
}

/// Weights on their way to a device, laid out for the kernels once.
struct Loader<'a> {
    weights: &'a mut Weights,
    place: &'a Place,
    precision: Precision,
}

impl Loader<'_> {
    /// Rows to look up, in the type of the activations.
    fn table(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let table = self.weights.take(name, shape)?.to_dtype(self.place.dtype(self.precision));
        table.and_then(|table| table.to_device(self.place.device())).map_err(device_failed)
    }

    fn linear(&mut self, name: &str, inner: usize, out: usize, norm: Option<&Tensor>) -> Result<Linear> {
        let (weight, bias) = self.weight_and_bias(name, &[out, inner])?;
        let reach = norm.map(reach).transpose().map_err(device_failed)?;
        Linear::new(&weight, &bias, reach.as_ref(), self.precision, self.place).map_err(device_failed)
    }

    /// Layers that read the output of `norm`.
    fn projections(&mut self, names: [String; 3], hidden: usize, norm: &Tensor) -> Result<Projections> {
        let mut layer = |name: &String| self.weight_and_bias(name, &[hidden, hidden]);
        let [(q, q_bias), (k, k_bias), (v, v_bias)] = [layer(&names[0])?, layer(&names[1])?, layer(&names[2])?];
        let reach = reach(norm).map_err(device_failed)?;
        Projections::new(&[q, k, v], &[q_bias, k_bias, v_bias], Some(&reach), self.precision, self.place)
            .map_err(device_failed)
    }

    /// On the CPU.
    fn weight_and_bias(&mut self, name: &str, shape: &[usize]) -> Result<(Tensor, Tensor)> {
        let weight = self.weights.take(&format!("{name}.weight"), shape)?;
        let bias = self.weights.take(&format!("{name}.bias"), &shape[..1])?;
        Ok((weight, bias))
    }

    /// Weight above bias, `[2, width]`.
    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor> {
        let (weight, bias) = self.weight_and_bias(name, &[width])?;
        let both = Tensor::stack(&[weight, bias], 0);
        both.and_then(|both| both.to_device(self.place.device())).map_err(device_failed)
    }
}

/// How far the outputs of a norm go: three standard deviations of 1, scaled and shifted.
fn reach(norm: &Tensor) -> CandleResult<Tensor> {
    let norm = norm.to_device(&Device::Cpu)?;
    norm.get(1)?.abs()? + (norm.get(0)?.abs()? * 3.0)?
}

fn device_failed(error: candle_core::Error) -> Error {
    Error::Failed(format!("the device failed while the weights were laid out: {}", cause(&error)))
}
