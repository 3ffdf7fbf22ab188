//! What DistilBERT is, after transformers' `DistilBertForSequenceClassification`.

use serde::Deserialize;

use super::{Family, Head, ModelConfig, activation, labels};
use crate::classifier::kernels::Activation;

/// The names of its tensors, and the numbers that no `config.json` changes.
pub static DISTILBERT: Family = Family {
    architecture: "DistilBertForSequenceClassification",
    model_type: "distilbert",
    prefix: "distilbert.",
    words: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    position_offset: 0,
    embedding_norm: "embeddings.LayerNorm",
    layers: "transformer.layer",
    attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
    attention_norm: "sa_layer_norm",
    widen: "ffn.lin1",
    narrow: "ffn.lin2",
    output_norm: "output_layer_norm",
    norm_epsilon: 1e-12,
    head: Head { inner: "pre_classifier", activation: Activation::Relu, outer: "classifier" },
    read,
};

/// The keys that define the network; what is absent has transformers' default.
#[derive(Deserialize)]
#[serde(default)]
struct Keys {
    vocab_size: usize,
    max_position_embeddings: usize,
    dim: usize,
    hidden_size: Option<usize>,
    hidden_dim: usize,
    n_layers: usize,
    num_hidden_layers: Option<usize>,
    n_heads: usize,
    num_attention_heads: Option<usize>,
    activation: String,
    sinusoidal_pos_embds: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            vocab_size: 30_522,
            max_position_embeddings: 512,
            dim: 768,
            hidden_size: None,
            hidden_dim: 3072,
            n_layers: 6,
            num_hidden_layers: None,
            n_heads: 12,
            num_attention_heads: None,
            activation: "gelu".to_owned(),
            sinusoidal_pos_embds: false,
        }
    }
}

fn read(json: &str) -> Result<ModelConfig, String> {
    let keys: Keys = serde_json::from_str(json).map_err(|e| format!("not a DistilBERT configuration: {e}"))?;
    Ok(ModelConfig {
        family: &DISTILBERT,
        vocab_size: keys.vocab_size,
        max_position_embeddings: keys.max_position_embeddings,
        sinusoidal_positions: keys.sinusoidal_pos_embds,
        // Where a key and its general name are both there, the general one wins in transformers.
        dim: keys.hidden_size.unwrap_or(keys.dim),
        hidden_dim: keys.hidden_dim,
        n_layers: keys.num_hidden_layers.unwrap_or(keys.n_layers),
        n_heads: keys.num_attention_heads.unwrap_or(keys.n_heads),
        activation: activation::named(&keys.activation)?,
        labels: labels::read(json)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(config: &Value) -> ModelConfig {
        read(&config.to_string()).unwrap()
    }

    #[test]
    fn what_is_absent_has_the_default_of_transformers() {
        let config = parse(&json!({}));
        assert_eq!((config.vocab_size, config.max_position_embeddings), (30_522, 512));
        assert_eq!((config.dim, config.hidden_dim, config.n_layers, config.n_heads), (768, 3072, 6, 12));
        assert_eq!(config.activation, Activation::Gelu);
        assert!(!config.sinusoidal_positions);
    }

    #[test]
    fn general_names_count_and_win() {
        let config = parse(&json!({"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}));
        assert_eq!((config.dim, config.n_layers, config.n_heads), (64, 3, 4));
        let config = parse(&json!({"hidden_size": 64, "dim": 32}));
        assert_eq!(config.dim, 64);
    }
}
