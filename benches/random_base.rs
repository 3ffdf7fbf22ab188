//! A checkpoint of the real size with random weights: speed does not depend on their values.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use textflight::classifier::Classifier;

use crate::support::load;

/// DistilBERT-base: 6 layers, hidden 768, 12 heads, feed-forward 3072.
pub fn random_base() -> Classifier {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sst2-mini");
    std::fs::copy(bundled.join("vocab.txt"), folder.path().join("vocab.txt")).expect("the bundled vocabulary");
    let config = serde_json::json!({
        "architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert", "vocab_size": 30522,
        "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "max_position_embeddings": 512
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a writable folder");
    candle_core::safetensors::save(&tensors(), folder.path().join("model.safetensors")).expect("a writable folder");
    load(folder.path())
}

fn tensors() -> HashMap<String, Tensor> {
    let mut tensors = HashMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let tensor = Tensor::randn(0f32, 0.02, shape, &Device::Cpu).expect("a tensor");
        tensors.insert(name, tensor);
    };
    add("embeddings.word_embeddings.weight".to_owned(), &[30522, 768]);
    add("embeddings.position_embeddings.weight".to_owned(), &[512, 768]);
    let mut linears = vec![("pre_classifier".to_owned(), 768, 768), ("classifier".to_owned(), 2, 768)];
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for i in 0..6 {
        let layer = format!("transformer.layer.{i}");
        linears.extend(["q_lin", "k_lin", "v_lin", "out_lin"].map(|n| (format!("{layer}.attention.{n}"), 768, 768)));
        linears.push((format!("{layer}.ffn.lin1"), 3072, 768));
        linears.push((format!("{layer}.ffn.lin2"), 768, 3072));
        norms.extend(["sa_layer_norm", "output_layer_norm"].map(|n| format!("{layer}.{n}")));
    }
    for (name, out, inner) in linears {
        add(format!("{name}.weight"), &[out, inner]);
        add(format!("{name}.bias"), &[out]);
    }
    for name in norms {
        add(format!("{name}.weight"), &[768]);
        add(format!("{name}.bias"), &[768]);
    }
    tensors
}
