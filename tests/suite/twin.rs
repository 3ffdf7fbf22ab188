//! Our network against candle's own DistilBERT, an independent implementation in the same language.
//!
//! Three differences are accounted for: its GELU is the tanh approximation (ours is told to use that one, too), it has no
//! classification head (added here), and a mask that is not zero hides (all zeros here).

use std::path::Path;

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::{Module, VarBuilder, linear};
use candle_transformers::models::distilbert::{Config, DistilBertModel};
use serde_json::{Value, json};
use textflight::classifier::ModelConfig;

use crate::support::{copy_checkpoint, edit_config, load};

struct Twin {
    encoder: DistilBertModel,
    pre_classifier: candle_nn::Linear,
    classifier: candle_nn::Linear,
}

impl Twin {
    fn load(folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
        let ours = ModelConfig::parse(&text).unwrap();
        let mut json: Value = serde_json::from_str(&text).unwrap();
        json["activation"] = json!("gelu");
        let config: Config = serde_json::from_value(json).unwrap();
        let bytes = std::fs::read(folder.join("model.safetensors"))?;
        let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)?;
        Ok(Self {
            encoder: DistilBertModel::load(weights.pp("distilbert"), &config)?,
            pre_classifier: linear(ours.dim, ours.dim, weights.pp("pre_classifier"))?,
            classifier: linear(ours.dim, ours.labels.len(), weights.pp("classifier"))?,
        })
    }

    fn logits(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let nothing_hidden = Tensor::zeros(ids.shape(), DType::U8, &Device::Cpu)?;
        let hidden = self.encoder.forward(&ids, &nothing_hidden)?;
        let first = hidden.i((.., 0))?.contiguous()?;
        let pooled = self.pre_classifier.forward(&first)?.relu()?;
        self.classifier.forward(&pooled)?.flatten_all()?.to_vec1()
    }
}

#[test]
fn equals_candle_transformers() {
    for name in ["three-labels", "f16"] {
        let folder = copy_checkpoint(name);
        edit_config(folder.path(), "activation", json!("gelu_new"));
        let ours = load(folder.path(), 512).unwrap();
        let twin = Twin::load(folder.path()).unwrap();
        for length in [1, 2, 3, 17, 64, 127, 300, 512] {
            let ids: Vec<u32> = (0..length).map(|i| (i * 37 + length) % 300).collect();
            let logits = ours.logits(&[&ids]).unwrap();
            let twins = twin.logits(&ids).unwrap();
            for (a, b) in logits.iter().zip(&twins) {
                assert!((a - b).abs() < 1e-4, "{name}, {length} tokens: {logits:?} is not {twins:?}");
            }
        }
    }
}
