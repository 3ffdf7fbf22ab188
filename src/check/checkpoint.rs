//! A checkpoint with random weights.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::random::Random;
use crate::classifier::architecture::DISTILBERT;
use crate::{Error, Result};

/// How large the checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// DistilBERT-base: 6 layers, hidden 768, 12 heads, feed-forward 3072, 30,522 words.
    Base,
    /// For tests: 2 layers, hidden 64.
    Tiny,
}

/// The special tokens, at their numbers.
const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

impl Size {
    const fn layers(self) -> usize {
        match self {
            Self::Base => 6,
            Self::Tiny => 2,
        }
    }

    const fn hidden(self) -> usize {
        match self {
            Self::Base => 768,
            Self::Tiny => 64,
        }
    }

    /// How many times as large a share of how far texts' logits are apart rounding is, beside [`Size::Base`]: to a small network of random
    /// weights all texts are much alike.
    pub(super) const fn alikeness(self) -> f32 {
        match self {
            Self::Base => 1.0,
            Self::Tiny => 10.0,
        }
    }

    const fn heads(self) -> usize {
        self.hidden() / if self.is_base() { 64 } else { 16 }
    }

    const fn feed_forward(self) -> usize {
        4 * self.hidden()
    }

    const fn words(self) -> usize {
        match self {
            Self::Base => 30_522,
            Self::Tiny => 1000,
        }
    }

    /// Whether it is the real size.
    pub const fn is_base(self) -> bool {
        matches!(self, Self::Base)
    }

    /// Words that are one token each.
    pub fn vocabulary(self) -> Vec<String> {
        (0..self.words() - SPECIALS.len()).map(word).collect()
    }

    /// What a row of so many tokens must compute, in FLOP: all layers but the last whole, the last for keys, values and
    /// the first token alone.
    pub const fn useful_flop(self, tokens: f64) -> f64 {
        let (h, f, whole) = (self.hidden() as f64, self.feed_forward() as f64, (self.layers() - 1) as f64);
        let layer = tokens * (8.0 * h * h + 4.0 * h * f) + 4.0 * h * tokens * tokens;
        let last = tokens * 4.0 * h * h + 4.0 * h * h + 4.0 * h * f + 4.0 * h * tokens;
        whole * layer + last + 2.0 * h * h + 4.0 * h
    }
}

/// `a`, …, `z`, `aa`, …
fn word(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'a' + (index % 26) as u8);
        if index < 26 {
            break;
        }
        index = index / 26 - 1;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// Writes a checkpoint in Hugging Face's layout.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_checkpoint(folder: &Path, size: Size) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let config = serde_json::json!({
        "architectures": [DISTILBERT.architecture], "model_type": DISTILBERT.model_type, "activation": "gelu",
        "vocab_size": size.words(), "dim": size.hidden(), "hidden_dim": size.feed_forward(), "n_layers": size.layers(),
        "n_heads": size.heads(), "max_position_embeddings": 512,
        "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}
    });
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Error::file(&path, e))
    };
    write("config.json", config.to_string())?;
    let words = SPECIALS.iter().map(ToString::to_string).chain(size.vocabulary());
    write("vocab.txt", words.map(|word| word + "\n").collect())?;
    let weights = folder.join("model.safetensors");
    let tensors = tensors(size).map_err(|e| Error::Failed(format!("no memory for random weights: {e}")))?;
    candle_core::safetensors::save(&tensors, &weights).map_err(|e| Error::file(&weights, e))
}

fn tensors(size: Size) -> candle_core::Result<HashMap<String, Tensor>> {
    let (h, f) = (size.hidden(), size.feed_forward());
    let mut random = Random::new(7);
    let mut tensors = HashMap::new();
    let mut add = |name: String, shape: &[usize], mean: f32, deviation: f32| -> candle_core::Result<()> {
        let values = (0..shape.iter().product()).map(|_| mean + random.value(deviation)).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        Ok(())
    };
    // Wide enough that texts differ in their logits: with the 0.02 of a fresh network they hardly do.
    let family = &DISTILBERT;
    let encoder = |name: &str| format!("{}{name}", family.prefix);
    add(encoder(family.words), &[size.words(), h], 0.0, 0.05)?;
    add(encoder(family.positions), &[512, h], 0.0, 0.02)?;
    let mut linears = vec![(family.head.inner.to_owned(), h, h), (family.head.outer.to_owned(), 2, h)];
    let mut norms = vec![encoder(family.embedding_norm)];
    for i in 0..size.layers() {
        let part = |name: &str| encoder(&format!("{}.{i}.{name}", family.layers));
        linears.extend(family.attention.map(|name| (part(name), h, h)));
        linears.push((part(family.widen), f, h));
        linears.push((part(family.narrow), h, f));
        norms.extend([family.attention_norm, family.output_norm].map(part));
    }
    for (name, out, inner) in linears {
        add(format!("{name}.weight"), &[out, inner], 0.0, 0.04)?;
        add(format!("{name}.bias"), &[out], 0.0, 0.02)?;
    }
    for name in norms {
        add(format!("{name}.weight"), &[h], 1.0, 0.1)?;
        add(format!("{name}.bias"), &[h], 0.0, 0.1)?;
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct() {
        assert_eq!(
            (word(0), word(25), word(26), word(701), word(702)),
            ("a".into(), "z".into(), "aa".into(), "zz".into(), "aaa".into())
        );
        let words: std::collections::HashSet<_> = Size::Base.vocabulary().into_iter().collect();
        assert_eq!(words.len(), 30_517);
    }

    #[test]
    fn the_base_size_needs_what_is_known() {
        // 14.16 MFLOP a token in each of five layers, keys and values of the sixth, and little else.
        let row = Size::Base.useful_flop(25.0) / 1e9;
        assert!((1.84..1.86).contains(&row), "{row}");
    }
}
