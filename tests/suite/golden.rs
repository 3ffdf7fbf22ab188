//! Our network against Hugging Face transformers: ids, logits, confidences. `tools/golden.py` wrote the fixtures.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde::Deserialize;
use textflight::classifier::{Classifier, DEFAULT_MODEL, DTypeChoice, EMPTY_TEXT, Encoding, Score, is_blank};

use crate::support::{BF16, F32, INT8, fixture, json, load, load_in, repository};

#[derive(Deserialize)]
struct Golden {
    max_length: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    /// `None` for ids that no text gives.
    text: Option<String>,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

const CONFIGURATIONS: [&str; 8] = [
    "three-labels",
    "one-layer-relu",
    "f16",
    "bf16-bare-names",
    "old-sinusoidal",
    "cased",
    "sharded-gamma",
    "no-table-f64",
];

const DTYPES: [DTypeChoice; 3] = [F32, BF16, INT8];

fn golden(name: &str, dtype: DTypeChoice) -> (Classifier, Vec<Case>) {
    let folder = fixture("golden").join(name);
    let golden: Golden = json(&folder.join("golden.json"));
    (load_in(&folder, golden.max_length, dtype).unwrap(), golden.cases)
}

/// Logits within 1e-4, the confidence within 1e-5, the label equal.
fn check(classifier: &Classifier, ids: &[u32], expected: &[f32], what: &str) {
    let logits = classifier.logits(&[ids]).unwrap();
    for (ours, theirs) in logits.iter().zip(expected) {
        assert!((ours - theirs).abs() < 1e-4, "{what}: logits {logits:?}, transformers has {expected:?}");
    }
    let score = classifier.score(&[ids]).unwrap().remove(0);
    let (label, confidence) = softmax(expected);
    assert_eq!(score.label as usize, label, "{what}");
    let ours = f64::from(score.probabilities[label]);
    assert!((ours - confidence).abs() < 1e-5, "{what}: confidence {ours}, transformers has {confidence}");
}

fn softmax(logits: &[f32]) -> (usize, f64) {
    let weights: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp()).collect();
    let best = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap();
    (best, weights[best] / weights.iter().sum::<f64>())
}

#[test]
fn odd_configurations_equal_transformers() {
    equal_transformers(|folder, max_length| load_in(folder, max_length, F32).unwrap());
}

/// Checks the classifiers that `load` makes of the golden checkpoints.
pub fn equal_transformers(load: impl Fn(&Path, usize) -> Classifier) {
    for name in CONFIGURATIONS {
        let folder = fixture("golden").join(name);
        let Golden { max_length, cases } = json(&folder.join("golden.json"));
        let classifier = load(&folder, max_length);
        for (i, case) in cases.iter().enumerate() {
            let what = format!("{name}, case {i}");
            // A blank text is [EMPTY] to us: the ids that transformers gave it are still good for the network.
            if let Some(text) = case.text.as_deref().filter(|text| !is_blank(text)) {
                assert_eq!(classifier.encode(text).unwrap().ids, case.ids, "{what}: {text:?}");
            }
            check(&classifier, &case.ids, &case.logits, &what);
        }
    }
}

#[test]
fn a_batch_of_mixed_lengths_equals_its_rows_singly_to_the_bit() {
    for (name, dtype) in CONFIGURATIONS.into_iter().flat_map(|name| DTYPES.map(|dtype| (name, dtype))) {
        let (classifier, cases) = golden(name, dtype);
        let sequences: Vec<&[u32]> = cases.iter().map(|case| case.ids.as_slice()).collect();
        let singly: Vec<Score> = sequences.iter().map(|s| classifier.score(&[s]).unwrap().remove(0)).collect();
        assert_eq!(classifier.score(&sequences).unwrap(), singly, "{name} in {dtype:?}");
        for size in [2, 3, 7] {
            let batched: Vec<Score> =
                sequences.chunks(size).flat_map(|batch| classifier.score(batch).unwrap()).collect();
            assert_eq!(batched, singly, "{name} in {dtype:?}, batches of {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Any lengths, any neighbours, any order: in every precision a text has one score.
    #[test]
    fn a_text_has_the_same_bits_in_any_batch(
        texts in prop::collection::vec(prop::collection::vec(1000u32..20_000, 1..126), 1..33),
        order in any::<prop::sample::Index>(),
    ) {
        static CLASSIFIERS: LazyLock<[Classifier; 3]> =
            LazyLock::new(|| DTYPES.map(|dtype| load_in(&repository("data/sst2-mini"), 128, dtype).unwrap()));
        for classifier in &*CLASSIFIERS {
            let mut sequences: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            sequences.rotate_left(order.index(texts.len()));
            let together = classifier.score(&sequences).unwrap();
            for (sequence, score) in sequences.iter().zip(&together) {
                prop_assert_eq!(&classifier.score(&[sequence]).unwrap()[0], score, "{}", classifier.info().dtype);
            }
        }
    }
}

/// What a smaller precision may cost on SST-2's development set: half a point of accuracy, and few labels.
#[test]
fn bf16_and_int8_keep_to_f32() {
    let cases: Vec<DevCase> = json(&fixture("sst2_dev.json"));
    let right = |dtype| {
        let classifier = load_in(&repository("data/sst2-mini"), 128, dtype).unwrap();
        let labels = cases.iter().map(|case| {
            let ids = classifier.encode(&case.text).unwrap().ids;
            classifier.score(&[&ids]).unwrap()[0].label as usize
        });
        let labels: Vec<usize> = labels.collect();
        let right = cases.iter().zip(&labels).filter(|(case, label)| case.truth == **label).count();
        let changed = cases.iter().zip(&labels).filter(|(case, label)| case.label != **label).count();
        (right as f64 / cases.len() as f64, changed as f64 / cases.len() as f64)
    };
    let (exact, _) = right(F32);
    for (dtype, changes) in [(BF16, 0.002), (INT8, 0.007)] {
        let (accuracy, changed) = right(dtype);
        assert!((accuracy - exact).abs() <= 0.005, "{dtype:?}: {accuracy} against {exact}");
        assert!(changed <= changes, "{dtype:?} changes {changed} of the labels");
    }
}

#[derive(Deserialize)]
struct TokenIds {
    text: String,
    ids: Vec<u32>,
    tokens: usize,
}

#[test]
fn token_ids_equal_transformers() {
    let bundled = repository("data/sst2-mini");
    // The same from vocab.txt alone, as in the repository of the default model.
    let bare = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "vocab.txt"] {
        std::fs::copy(bundled.join(file), bare.path().join(file)).unwrap();
    }
    let cases: Vec<TokenIds> = json(&fixture("token_ids.json"));
    assert!(cases.len() > 300);
    for folder in [bundled.as_path(), bare.path()] {
        let classifier = load(folder, 128).unwrap();
        for case in &cases {
            let encoding = classifier.encode(&case.text).unwrap();
            let expected = if is_blank(&case.text) {
                classifier.encode(EMPTY_TEXT).unwrap()
            } else {
                Encoding { ids: case.ids.clone(), tokens: case.tokens }
            };
            assert_eq!(encoding, expected, "{:?}", case.text);
        }
    }
}

/// What the original's repository published for its checkpoint. Run where that is at hand:
/// `TEXTFLIGHT_REFERENCE_MODEL=FOLDER cargo test --test suite published`.
#[test]
fn the_published_example_of_the_default_model() {
    let Some(folder) = std::env::var_os("TEXTFLIGHT_REFERENCE_MODEL") else {
        println!("skipped: TEXTFLIGHT_REFERENCE_MODEL does not name the folder of {DEFAULT_MODEL}");
        return;
    };
    let classifier = load(Path::new(&folder), 128).unwrap();
    let ids = ["I love apple", "I hate apple"].map(|text| classifier.encode(text).unwrap().ids);
    let scores = classifier.score(&ids.each_ref().map(Vec::as_slice)).unwrap();
    let labels = [scores[0].label, scores[1].label];
    let confidences = [0, 1].map(|i| {
        let confidence = scores[i].probabilities[labels[i] as usize];
        f64::from((confidence * 10_000.0).round_ties_even() / 10_000.0)
    });
    assert_eq!((labels, confidences), ([1, 0], [0.999_800_026_416_778_6, 0.999_300_003_051_757_8]));
}

#[derive(Deserialize)]
struct DevCase {
    text: String,
    truth: usize,
    label: usize,
    logits: Vec<f32>,
}

/// The bundled model on SST-2's development sentences: row for row what transformers gives, and good enough.
#[test]
fn sst2_dev_equals_transformers_row_for_row() {
    let classifier = load(&repository("data/sst2-mini"), 128).unwrap();
    let cases: Vec<DevCase> = json(&fixture("sst2_dev.json"));
    assert_eq!(cases.len(), 872);
    let mut right = 0;
    for case in &cases {
        let ids = classifier.encode(&case.text).unwrap().ids;
        check(&classifier, &ids, &case.logits, &case.text);
        assert_eq!(softmax(&case.logits).0, case.label);
        right += usize::from(case.label == case.truth);
    }
    assert!(right * 100 >= 83 * cases.len(), "{right} of {} are right", cases.len());
}
