//! Checkpoints that cannot be served: each a clear error that names the file and what to do.

use std::collections::HashMap;
use std::path::Path;

use candle_core::safetensors::{load as read_tensors, save as write_tensors};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use crate::support::{copy_checkpoint, edit_config, fixture, load};

#[track_caller]
fn refused(folder: &Path, expected: &[&str]) {
    let error = match load(folder, 128) {
        Ok(_) => panic!("it loads"),
        Err(error) => error.to_string(),
    };
    for part in expected {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn loads_before_it_is_broken() {
    for name in ["f16", "old-sinusoidal"] {
        assert!(load(copy_checkpoint(name).path(), 128).is_ok());
    }
}

#[test]
fn a_missing_file() {
    for (file, expected) in
        [("config.json", "config.json: not found"), ("model.safetensors", "model.safetensors: not found")]
    {
        let folder = copy_checkpoint("f16");
        std::fs::remove_file(folder.path().join(file)).unwrap();
        refused(folder.path(), &[expected, "a checkpoint has"]);
    }
    let folder = copy_checkpoint("old-sinusoidal");
    std::fs::remove_file(folder.path().join("vocab.txt")).unwrap();
    refused(folder.path(), &["tokenizer.json (or vocab.txt): not found"]);
}

#[test]
fn truncated_or_corrupt_weights() {
    let folder = copy_checkpoint("f16");
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let mut huge_header = whole.clone();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut broken_header = whole.clone();
    broken_header[9] = b'!';
    let cases: [&[u8]; 6] = [&[], &whole[..4], &whole[..100], &whole[..whole.len() - 1], &huge_header, &broken_header];
    for bytes in cases {
        std::fs::write(&path, bytes).unwrap();
        refused(folder.path(), &["model.safetensors", "truncated, or not a safetensors file", "fetch it again"]);
    }
}

#[test]
fn a_clone_without_its_large_files() {
    let folder = copy_checkpoint("f16");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    std::fs::write(folder.path().join("model.safetensors"), pointer).unwrap();
    refused(folder.path(), &["model.safetensors", "git lfs pull"]);
}

#[test]
fn weights_that_give_no_numbers() {
    let folder = copy_checkpoint("f16");
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    // f16 with all bits set is NaN.
    bytes[header..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    refused(folder.path(), &["model.safetensors", "a first forward failed"]);
}

/// Changes the tensors of a copied checkpoint.
fn edit_tensors(folder: &Path, edit: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let path = folder.join("model.safetensors");
    let mut tensors = read_tensors(&path, &Device::Cpu).unwrap();
    edit(&mut tensors);
    write_tensors(&tensors, path).unwrap();
}

fn rename(tensors: &mut HashMap<String, Tensor>, new: impl Fn(&str) -> String) {
    *tensors = tensors.drain().map(|(name, tensor)| (new(&name), tensor)).collect();
}

fn logits(folder: &Path) -> Vec<f32> {
    load(folder, 128).unwrap().logits(&[&[1, 5, 9, 2]]).unwrap()
}

/// What transformers reads as the same model gives the same bits.
#[test]
fn tensors_by_other_names() {
    type Rename = fn(&str) -> String;
    let names: [(&str, Rename); 3] = [
        ("every norm as TensorFlow calls it", |name| {
            name.replace("orm.weight", "orm.gamma").replace("orm.bias", "orm.beta")
        }),
        ("no prefix", |name| name.replace("distilbert.", "")),
        ("a prefix to the head, too", |name| {
            if name.starts_with("distilbert.") { name.to_owned() } else { format!("distilbert.{name}") }
        }),
    ];
    let expected = logits(&fixture("golden/f16"));
    for (what, new) in names {
        let folder = copy_checkpoint("f16");
        edit_tensors(folder.path(), |tensors| rename(tensors, new));
        assert_eq!(logits(folder.path()), expected, "{what}");
    }
}

#[test]
fn tensors_that_nobody_asks_for() {
    let folder = copy_checkpoint("f16");
    edit_tensors(folder.path(), |tensors| {
        for name in ["vocab_projector.weight", "vocab_layer_norm.gamma", "qa_outputs.bias", "distilbert.pooler.weight"]
        {
            tensors.insert(name.to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
        }
        let ids = Tensor::arange(0_i64, 512, &Device::Cpu).unwrap();
        tensors.insert("distilbert.embeddings.position_ids".to_owned(), ids);
    });
    assert_eq!(logits(folder.path()), logits(&fixture("golden/f16")));
}

/// transformers takes the name that comes first.
#[test]
fn a_tensor_by_two_names() {
    let folder = copy_checkpoint("f16");
    edit_tensors(folder.path(), |tensors| {
        let shape = tensors["distilbert.embeddings.LayerNorm.weight"].shape().clone();
        let zeros = Tensor::zeros(shape, DType::F16, &Device::Cpu).unwrap();
        tensors.insert("embeddings.LayerNorm.weight".to_owned(), zeros.clone());
        tensors.insert("distilbert.embeddings.LayerNorm.zeta".to_owned(), zeros);
    });
    assert_eq!(logits(folder.path()), logits(&fixture("golden/f16")));
    edit_tensors(folder.path(), |tensors| {
        let weight = tensors["distilbert.embeddings.LayerNorm.weight"].clone();
        let zeros = weight.zeros_like().unwrap();
        tensors.insert("distilbert.embeddings.LayerNorm.gamma".to_owned(), weight);
        tensors.insert("distilbert.embeddings.LayerNorm.weight".to_owned(), zeros);
    });
    assert_eq!(logits(folder.path()), logits(&fixture("golden/f16")));
}

#[test]
fn tensors_that_are_no_floats() {
    let folder = copy_checkpoint("f16");
    edit_tensors(folder.path(), |tensors| {
        let ids = Tensor::zeros(2, DType::I64, &Device::Cpu).unwrap();
        tensors.insert("classifier.bias".to_owned(), ids);
    });
    refused(folder.path(), &["model.safetensors", "classifier.bias", "I64"]);
}

#[test]
fn shards_that_are_not_whole() {
    const SHARD: &str = "model-00002-of-00003.safetensors";
    let folder = copy_checkpoint("sharded-gamma");
    let path = folder.path().join(SHARD);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused(folder.path(), &[SHARD, "truncated"]);
    std::fs::remove_file(&path).unwrap();
    refused(folder.path(), &[SHARD, "not found", "model.safetensors.index.json names it"]);

    // A shard of another model, or an index that leaves one out: a tensor is missing, whatever the index says of it.
    std::fs::copy(folder.path().join("model-00001-of-00003.safetensors"), &path).unwrap();
    refused(folder.path(), &["model.safetensors.index.json", "is missing", "different models"]);
}

#[test]
fn another_architecture() {
    let folder = copy_checkpoint("f16");
    edit_config(folder.path(), "architectures", json!(["BertForSequenceClassification"]));
    refused(folder.path(), &["config.json", "BertForSequenceClassification", "DistilBertForSequenceClassification"]);
}

#[test]
fn config_and_weights_that_disagree() {
    for (key, value, expected) in [
        ("n_layers", json!(2), "transformer.layer.2"),
        ("n_layers", json!(4), "transformer.layer.3.attention.q_lin.weight is missing"),
        ("dim", json!(32), "config.json asks for"),
        ("hidden_dim", json!(7), "config.json asks for"),
        ("id2label", json!({"0": "A", "1": "B", "2": "C"}), "classifier.weight"),
        ("max_position_embeddings", json!(256), "position_embeddings"),
        ("hidden_size", json!(32), "config.json asks for"),
    ] {
        let folder = copy_checkpoint("f16");
        edit_config(folder.path(), key, value);
        refused(folder.path(), &["model.safetensors", expected, "belong to different models"]);
    }
}

#[test]
fn keys_of_what_is_not_built() {
    for (key, value) in [
        ("quantization_config", json!({"quant_method": "gptq", "bits": 4})),
        ("pruned_heads", json!({"0": [1]})),
        ("activation", json!("quick_gelu")),
        ("problem_type", json!("regression")),
    ] {
        let folder = copy_checkpoint("f16");
        edit_config(folder.path(), key, value);
        refused(folder.path(), &["config.json", key]);
    }
    let folder = copy_checkpoint("f16");
    std::fs::write(folder.path().join("adapter_config.json"), "{}").unwrap();
    refused(folder.path(), &["adapter_config.json", "merge_and_unload"]);
}

#[test]
fn tokenizer_and_vocabulary_that_disagree() {
    // A vocabulary that ends early, or is of another model.
    let folder = copy_checkpoint("old-sinusoidal");
    let path = folder.path().join("vocab.txt");
    let words = std::fs::read_to_string(&path).unwrap();
    let some: Vec<&str> = words.lines().take(100).collect();
    std::fs::write(&path, some.join("\n")).unwrap();
    refused(folder.path(), &["vocab.txt", "100 token ids", "vocab_size"]);
    std::fs::write(&path, "[PAD]\n[UNK]\n").unwrap();
    // transformers adds the other special tokens behind them.
    refused(folder.path(), &["vocab.txt", "5 token ids", "vocab_size"]);
    std::fs::write(&path, "[PAD]\n[CLS]\n[SEP]\n").unwrap();
    refused(folder.path(), &["vocab.txt", "special token [UNK] is not in it"]);

    // Two files that number the same words differently.
    let folder = copy_checkpoint("f16");
    let path = folder.path().join("vocab.txt");
    let words = std::fs::read_to_string(&path).unwrap();
    let turned: Vec<&str> = words.lines().rev().collect();
    std::fs::write(&path, turned.join("\n")).unwrap();
    refused(folder.path(), &["tokenizer.json", "disagrees with", "vocab.txt"]);

    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        let folder = copy_checkpoint(if file == "tokenizer.json" { "f16" } else { "old-sinusoidal" });
        std::fs::write(folder.path().join(file), "{").unwrap();
        refused(folder.path(), &[file]);
    }
}

/// `src/classifier/tokenizer/tests` has all settings.
#[test]
fn settings_of_the_tokenizer() {
    let folder = copy_checkpoint("f16");
    let path = folder.path().join("tokenizer_config.json");
    for (settings, expected) in [
        (json!({"truncation_side": "up"}), "truncation_side: \"up\"; expected \"left\" or \"right\""),
        (json!({"do_lower_case": "no"}), "do_lower_case: \"no\"; expected true or false"),
        (json!({"tokenizer_class": "RobertaTokenizerFast"}), "tokenizer_class \"RobertaTokenizerFast\" is not served"),
    ] {
        std::fs::write(&path, settings.to_string()).unwrap();
        refused(folder.path(), &["tokenizer_config.json", expected]);
    }
    let whole = "love hate ".repeat(100);
    let ids = |side: &str| {
        std::fs::write(&path, json!({"truncation_side": side}).to_string()).unwrap();
        load(folder.path(), 7).unwrap().encode(&format!("first {whole} good")).unwrap().ids
    };
    let words = |text: &str| load(folder.path(), 128).unwrap().encode(text).unwrap().ids;
    assert_eq!(ids("right"), words("first love hate love hate"));
    assert_eq!(ids("left"), words("love hate love hate good"));
}

#[test]
fn a_length_that_the_model_does_not_take() {
    for length in [0, 2, 513] {
        let error = load(&fixture("golden/f16"), length).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("--max-length {length}: this model takes 3 to 512 tokens")), "{error}");
    }
}
