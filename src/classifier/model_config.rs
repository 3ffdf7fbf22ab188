//! What `config.json` says of a DistilBERT classifier.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::kernels::Activation;

/// The numbers that define the network, checked for sense. Unknown keys are left alone: old configurations carry many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// The longest sequence, in tokens with the special ones.
    pub max_position_embeddings: usize,
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

#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(alias = "hidden_size")]
    dim: usize,
    hidden_dim: usize,
    #[serde(alias = "num_hidden_layers")]
    n_layers: usize,
    #[serde(alias = "num_attention_heads")]
    n_heads: usize,
    #[serde(default)]
    activation: ActivationName,
    num_labels: Option<usize>,
    id2label: Option<BTreeMap<String, String>>,
    problem_type: Option<String>,
}

/// An activation by its name in Hugging Face's table.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActivationName {
    #[default]
    Gelu,
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    Relu,
    #[serde(alias = "swish")]
    Silu,
}

impl From<ActivationName> for Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Gelu => Self::Gelu,
            ActivationName::GeluNew => Self::GeluTanh,
            ActivationName::Relu => Self::Relu,
            ActivationName::Silu => Self::Silu,
        }
    }
}

const fn default_positions() -> usize {
    512
}

const ARCHITECTURE: &str = "DistilBertForSequenceClassification";

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// A sentence that says which key is wrong and what would be right.
    pub fn parse(json: &str) -> Result<Self, String> {
        check_architecture(json)?;
        let raw: Raw = serde_json::from_str(json).map_err(|e| format!("not a DistilBERT configuration: {e}"))?;
        raw.check()?;
        let labels = raw.labels()?;
        Ok(Self {
            vocab_size: raw.vocab_size,
            max_position_embeddings: raw.max_position_embeddings,
            dim: raw.dim,
            hidden_dim: raw.hidden_dim,
            n_layers: raw.n_layers,
            n_heads: raw.n_heads,
            activation: raw.activation.into(),
            labels,
        })
    }
}

/// Looks at the architecture first, since another model's configuration lacks the keys that `Raw` asks for.
fn check_architecture(json: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Kind {
        architectures: Option<Vec<String>>,
        model_type: Option<String>,
    }
    let kind: Kind = serde_json::from_str(json).map_err(|e| format!("not valid JSON: {e}"))?;
    let model_type = kind.model_type.as_deref();
    let architectures = kind.architectures.unwrap_or_default();
    let right = match architectures.as_slice() {
        [] => model_type == Some("distilbert"),
        names => names.iter().any(|name| name == ARCHITECTURE) && model_type.is_none_or(|t| t == "distilbert"),
    };
    if right {
        return Ok(());
    }
    let found = match architectures.first() {
        Some(name) => name.clone(),
        None => format!("model type {}", model_type.unwrap_or("unknown")),
    };
    Err(format!("the architecture is {found}; textflight serves {ARCHITECTURE}"))
}

impl Raw {
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
        if let Some(kind) = self.problem_type.as_deref().filter(|kind| *kind != "single_label_classification") {
            return Err(format!(
                "problem_type is {kind}; textflight gives each text one label, which is single_label_classification"
            ));
        }
        Ok(())
    }

    /// `id2label` in class order; `LABEL_0`… where there is none, as transformers names them.
    fn labels(&self) -> Result<Vec<String>, String> {
        let labels = match &self.id2label {
            Some(names) => (0..names.len())
                .map(|i| names.get(&i.to_string()).cloned())
                .collect::<Option<Vec<_>>>()
                .ok_or("id2label does not count its classes from 0 without a gap")?,
            None => (0..self.num_labels.unwrap_or(2)).map(|i| format!("LABEL_{i}")).collect(),
        };
        if let Some(n) = self.num_labels.filter(|n| *n != labels.len()) {
            return Err(format!("num_labels is {n}, but id2label names {} classes", labels.len()));
        }
        if labels.len() < 2 {
            return Err(format!("{} class cannot be told from another: a classifier has two or more", labels.len()));
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Like the one of the default model's repository, which an old release of transformers wrote.
    fn old() -> Value {
        json!({
            "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"], "attention_dropout": 0.1,
            "dim": 768, "dropout": 0.1, "finetuning_task": "sst-2", "hidden_dim": 3072,
            "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "initializer_range": 0.02,
            "label2id": {"NEGATIVE": 0, "POSITIVE": 1}, "max_position_embeddings": 512, "model_type": "distilbert",
            "n_heads": 12, "n_layers": 6, "output_past": true, "pad_token_id": 0, "qa_dropout": 0.1,
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
        assert_eq!(config.activation, Activation::Gelu);
    }

    #[test]
    fn names_classes_as_transformers_does() {
        let mut config = old();
        config.as_object_mut().unwrap().remove("id2label");
        config["num_labels"] = json!(3);
        let config = ModelConfig::parse(&config.to_string()).unwrap();
        assert_eq!(config.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    }

    #[test]
    fn more_than_ten_classes_keep_their_order() {
        let names: serde_json::Map<_, _> = (0..12).map(|i| (i.to_string(), json!(format!("c{i}")))).collect();
        assert_eq!(with("id2label", Value::Object(names)).unwrap().labels[10], "c10");
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
            ("activation", json!("mish"), "unknown variant `mish`"),
            ("id2label", json!({"0": "A", "2": "B"}), "without a gap"),
            ("id2label", json!({"0": "A"}), "1 class"),
            ("num_labels", json!(5), "num_labels is 5, but id2label names 2"),
            ("problem_type", json!("multi_label_classification"), "problem_type is multi_label_classification"),
        ];
        for (key, value, expected) in cases {
            let error = with(key, value).unwrap_err();
            assert!(error.contains(expected), "{key}: {error}");
        }
        assert!(ModelConfig::parse("{").unwrap_err().contains("not valid JSON"));
    }
}
