//! The activations of Hugging Face's table, by name.

use crate::classifier::kernels::Activation;

/// Each function that the kernels have, by all of its names.
const NAMES: [(Activation, &[&str]); 5] = [
    (Activation::Gelu, &["gelu", "gelu_python"]),
    // One polynomial inside one tanh, written in five ways; `gelu_fast` rounds a constant to ten digits.
    (Activation::GeluTanh, &["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"]),
    (Activation::Relu, &["relu"]),
    (Activation::Silu, &["silu", "swish"]),
    (Activation::None, &["linear"]),
];

/// The activation that transformers calls `name`.
///
/// # Errors
/// A sentence that names it, and all that there are.
pub fn named(name: &str) -> Result<Activation, String> {
    let found = NAMES.iter().find(|(_, names)| names.contains(&name));
    found.map(|(activation, _)| *activation).ok_or_else(|| {
        let all: Vec<_> = NAMES.iter().flat_map(|(_, names)| *names).copied().collect();
        format!("activation is {name:?}; textflight has {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `tools/golden.py` wrote every function of transformers' table at some points.
    fn transformers() -> BTreeMap<String, Vec<f32>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/activations.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn difference(activation: Activation, x: &[f32], theirs: &[f32]) -> f32 {
        activation.of(x).iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_function_has_all_its_names_and_others_are_refused_by_theirs() {
        let mut table = transformers();
        let x = table.remove("x").unwrap();
        assert!(table.len() >= 22);
        for (name, theirs) in table {
            match named(&name) {
                Ok(activation) => assert!(difference(activation, &x, &theirs) < 4e-6, "{name} is not {activation:?}"),
                Err(error) => {
                    assert!(error.contains(&format!("{name:?}")) && error.contains("gelu_new"), "{error}");
                    // Refused, so none of ours: `quick_gelu` is off by a hundredth.
                    assert!(NAMES.iter().all(|(ours, _)| difference(*ours, &x, &theirs) > 5e-3), "{name}");
                }
            }
        }
    }

    #[test]
    fn names_are_exact() {
        for name in ["prelu", "xielu", "GELU", " gelu", ""] {
            assert!(named(name).is_err(), "{name:?}");
        }
    }
}
