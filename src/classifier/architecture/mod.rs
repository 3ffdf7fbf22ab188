//! What a checkpoint's `config.json` says of its network: one file a family, and what all families share.
//!
//! A family is a table of names and numbers; the encoder that computes it is one: `model.rs`.

mod activation;
mod distilbert;
mod labels;
mod sinusoids;

pub use distilbert::DISTILBERT;
pub use sinusoids::sinusoids;

use serde::Deserialize;
use serde_json::Value;

use super::kernels::Activation;

/// The families that can be served.
static FAMILIES: [&Family; 1] = [&DISTILBERT];

/// What is the same in all checkpoints of a family. Names of layers' parts stand below `LAYERS.INDEX`.
#[derive(Debug)]
pub struct Family {
    /// What `architectures` names.
    pub architecture: &'static str,
    /// What `model_type` names.
    pub model_type: &'static str,
    /// Before the names of the encoder's tensors; files without it are read, too.
    pub prefix: &'static str,
    /// The table of words, `[vocab_size, dim]`.
    pub words: &'static str,
    /// The table of positions, `[max_position_embeddings, dim]`.
    pub positions: &'static str,
    /// The row of the table that the first token of a text has.
    pub position_offset: usize,
    /// The norm of words and positions.
    pub embedding_norm: &'static str,
    /// Before a layer's index.
    pub layers: &'static str,
    /// Queries, keys, values and output.
    pub attention: [&'static str; 4],
    /// The norm after attention.
    pub attention_norm: &'static str,
    /// The layer before the activation, `[hidden_dim, dim]`.
    pub widen: &'static str,
    /// The layer after it, `[dim, hidden_dim]`.
    pub narrow: &'static str,
    /// The norm after the feed-forward block.
    pub output_norm: &'static str,
    /// What all norms add to a variance.
    pub norm_epsilon: f32,
    /// From the first token to logits.
    pub head: Head,
    /// Reads the keys of a `config.json`; the sentence of an error names the key.
    read: fn(&str) -> Result<ModelConfig, String>,
}

/// The two linear layers of a classification head.
#[derive(Debug)]
pub struct Head {
    /// `[dim, dim]`
    pub inner: &'static str,
    /// What follows it.
    pub activation: Activation,
    /// `[labels, dim]`
    pub outer: &'static str,
}

/// The numbers that define a network, checked for sense. Unknown keys are left alone: old configurations carry many.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Where its tensors are, and what no key changes.
    pub family: &'static Family,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Rows of the table of positions.
    pub max_position_embeddings: usize,
    /// Whether positions are sines and cosines where the weights have no table.
    pub sinusoidal_positions: bool,
    /// The hidden size.
    pub dim: usize,
    /// The size between the two layers of the feed-forward block.
    pub hidden_dim: usize,
    /// Encoder layers.
    pub n_layers: usize,
    /// Attention heads; they divide `dim`.
    pub n_heads: usize,
    /// What stands between the two layers of the feed-forward block.
    pub activation: Activation,
    /// Class names in class order, from `id2label`.
    pub labels: Vec<String>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// A sentence that says which key is wrong and what would be right.
    pub fn parse(json: &str) -> Result<Self, String> {
        // The family first: another model's configuration lacks the keys that are read then.
        let family = Family::of(json)?;
        check_support(json)?;
        let config = (family.read)(json)?;
        config.check()?;
        Ok(config)
    }

    /// The longest sequence, in tokens with the special ones.
    pub const fn longest(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.family.position_offset)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name} is 0"));
        }
        if !self.dim.is_multiple_of(self.n_heads) {
            return Err(format!("n_heads {} does not divide dim {}", self.n_heads, self.dim));
        }
        Ok(())
    }
}

impl Family {
    /// The family that `architectures` names, or `model_type` where there are none.
    fn of(json: &str) -> Result<&'static Self, String> {
        #[derive(Deserialize)]
        struct Kind {
            architectures: Option<Vec<String>>,
            model_type: Option<String>,
        }
        let kind: Kind = serde_json::from_str(json).map_err(|e| format!("not valid JSON: {e}"))?;
        let model_type = kind.model_type.as_deref();
        let architectures = kind.architectures.unwrap_or_default();
        let right = |family: &&&Self| match architectures.as_slice() {
            [] => model_type == Some(family.model_type),
            names => {
                names.iter().any(|name| name == family.architecture)
                    && model_type.is_none_or(|t| t == family.model_type)
            }
        };
        FAMILIES.iter().find(right).copied().ok_or_else(|| {
            let found = match architectures.first() {
                Some(name) => name.clone(),
                None => format!("model type {}", model_type.unwrap_or("unknown")),
            };
            let served: Vec<_> = FAMILIES.iter().map(|family| family.architecture).collect();
            format!("the architecture is {found}; textflight serves {}", served.join(", "))
        })
    }
}

/// Keys that change the network or its weights in ways that are not built, and what to do instead.
const UNSUPPORTED: [(&str, &str); 5] = [
    (
        "quantization_config",
        "the weights are quantised: save them as floats (dequantize of transformers), --dtype int8 does it here",
    ),
    ("compression_config", "the weights are compressed: save them as floats"),
    ("pruned_heads", "heads were taken out: save the model with all of its heads"),
    ("per_layer_config", "its layers differ: textflight serves layers of one shape"),
    ("transformers_weights", "it names another file of weights: call that file model.safetensors"),
];

fn check_support(json: &str) -> Result<(), String> {
    let config: Value = serde_json::from_str(json).map_err(|e| format!("not valid JSON: {e}"))?;
    let is_set = |key: &str| match &config[key] {
        Value::Null => false,
        Value::Object(entries) => !entries.is_empty(),
        Value::String(file) => file != "model.safetensors",
        _ => true,
    };
    match UNSUPPORTED.iter().find(|(key, _)| is_set(key)) {
        Some((key, why)) => Err(format!("{key} is set; {why}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Like the one of the default model's repository, which an old release of transformers wrote.
    fn old() -> Value {
        json!({
            "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"], "attention_dropout": 0.1,
            "dim": 768, "dropout": 0.1, "finetuning_task": "sst-2", "hidden_dim": 3072,
            "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "initializer_range": 0.02,
            "label2id": {"NEGATIVE": 0, "POSITIVE": 1}, "max_position_embeddings": 512, "model_type": "distilbert",
            "n_heads": 12, "n_layers": 6, "output_past": true, "pad_token_id": 0, "pruned_heads": {}, "qa_dropout": 0.1,
            "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false, "tie_weights_": true, "vocab_size": 30522
        })
    }

    fn with(key: &str, value: Value) -> Result<ModelConfig, String> {
        let mut config = old();
        config[key] = value;
        ModelConfig::parse(&config.to_string())
    }

    #[test]
    fn reads_an_old_configuration() {
        let config = ModelConfig::parse(&old().to_string()).unwrap();
        assert_eq!(config.labels, ["NEGATIVE", "POSITIVE"]);
        assert_eq!((config.dim, config.hidden_dim, config.n_layers, config.n_heads), (768, 3072, 6, 12));
        assert_eq!((config.activation, config.longest()), (Activation::Gelu, 512));
    }

    #[test]
    fn the_architecture_may_stand_second_or_nowhere() {
        let several = json!(["BertForSequenceClassification", "DistilBertForSequenceClassification"]);
        for architectures in [several, json!([]), Value::Null] {
            assert!(with("architectures", architectures).is_ok());
        }
        assert!(with("model_type", Value::Null).is_ok());
    }

    #[test]
    fn keys_that_change_no_score_are_left_alone() {
        for (key, value) in [
            ("dtype", json!("float16")),
            ("torch_dtype", json!("float64")),
            ("layer_norm_eps", json!(1e-5)),
            ("chunk_size_feed_forward", json!(2)),
            ("output_attentions", json!(true)),
            ("output_hidden_states", json!(true)),
            ("attn_implementation", json!("flash_attention_2")),
            ("auto_map", json!({"AutoConfig": "other.Config"})),
            ("quantization_config", Value::Null),
            ("transformers_weights", json!("model.safetensors")),
        ] {
            assert!(with(key, value).is_ok(), "{key}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            (
                "architectures",
                json!(["BertForSequenceClassification"]),
                "the architecture is BertForSequenceClassification",
            ),
            ("architectures", json!(["DistilBertModel"]), "the architecture is DistilBertModel"),
            ("model_type", json!("bert"), "the architecture is"),
            ("n_heads", json!(7), "n_heads 7 does not divide dim 768"),
            ("n_layers", json!(0), "n_layers is 0"),
            ("dim", json!("wide"), "not a DistilBERT configuration"),
            ("activation", json!("mish"), "activation is \"mish\""),
            ("id2label", json!({"0": "A", "2": "B"}), "without a gap"),
            ("quantization_config", json!({"quant_method": "bitsandbytes"}), "quantization_config is set"),
            ("pruned_heads", json!({"0": [1]}), "pruned_heads is set"),
            ("per_layer_config", json!({"0": {"n_heads": 2}}), "per_layer_config is set"),
            ("transformers_weights", json!("other.safetensors"), "transformers_weights is set"),
        ];
        for (key, value, expected) in cases {
            let error = with(key, value).unwrap_err();
            assert!(error.contains(expected), "{key}: {error}");
        }
        assert!(ModelConfig::parse("{").unwrap_err().contains("not valid JSON"));
    }
}
