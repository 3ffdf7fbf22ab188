//! Checkpoints that cannot be served: each a clear error that names the file and what to do.

use std::path::Path;

use serde_json::json;
use textflight::classifier::ClassifierOptions;

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
    ] {
        let folder = copy_checkpoint("f16");
        edit_config(folder.path(), key, value);
        refused(folder.path(), &["model.safetensors", expected, "belong to different models"]);
    }
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
    refused(folder.path(), &["vocab.txt", "special token [SEP] is not in it"]);

    // Two files that number the same words differently.
    let folder = copy_checkpoint("f16");
    let path = folder.path().join("vocab.txt");
    let words = std::fs::read_to_string(&path).unwrap();
    let turned: Vec<&str> = words.lines().rev().collect();
    std::fs::write(&path, turned.join("\n")).unwrap();
    refused(folder.path(), &["tokenizer.json", "disagrees with", "vocab.txt"]);

    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let folder = copy_checkpoint(if file == "tokenizer.json" { "f16" } else { "old-sinusoidal" });
        std::fs::write(folder.path().join(file), "{").unwrap();
        refused(folder.path(), &[file]);
    }
}

#[test]
fn a_length_that_the_model_does_not_take() {
    for length in [0, 2, 513] {
        let error = load(&fixture("golden/f16"), length).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("--max-length {length}: this model takes 3 to 512 tokens")), "{error}");
    }
    assert_eq!(ClassifierOptions::default().max_length, 128);
}
