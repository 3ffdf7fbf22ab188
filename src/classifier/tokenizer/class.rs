//! Which of transformers' classes a checkpoint's tokenizer is of: it decides what the other settings mean.

use serde_json::{Map, Value};

/// A class that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerClass {
    /// `BertTokenizer`: built from the vocabulary by the settings; of `tokenizer.json` only the words count.
    Bert,
    /// `TokenizersBackend`, once `PreTrainedTokenizerFast`: `tokenizer.json` as it stands.
    Backend,
}

/// Names of one class in transformers 5, with and without `Fast` at the end.
const BERT: [&str; 7] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];
const BACKEND: [&str; 3] = ["TokenizersBackend", "PreTrainedTokenizer", "PythonBackend"];

impl TokenizerClass {
    /// The class that `tokenizer_config.json` names, or else `config.json`, or else DistilBERT's own.
    ///
    /// # Errors
    /// With the name of a class that we do not have.
    pub fn choose(tokenizer_config: &Map<String, Value>, config: &Map<String, Value>) -> Result<Self, String> {
        let named =
            |settings: &Map<String, Value>| settings.get("tokenizer_class").filter(|class| !class.is_null()).cloned();
        let Some(class) = named(tokenizer_config).or_else(|| named(config)) else { return Ok(Self::Bert) };
        let name = class.as_str().unwrap_or_default();
        let base = name.strip_suffix("Fast").unwrap_or(name);
        if BERT.contains(&base) {
            Ok(Self::Bert)
        } else if BACKEND.contains(&base) {
            Ok(Self::Backend)
        } else {
            Err(format!(
                "tokenizer_class {class} is not served; expected {}, or PreTrainedTokenizerFast",
                BERT.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn choose(tokenizer_config: Value, config: Value) -> Result<TokenizerClass, String> {
        TokenizerClass::choose(tokenizer_config.as_object().unwrap(), config.as_object().unwrap())
    }

    #[test]
    fn the_tokenizer_s_file_goes_before_the_model_s() {
        let (bert, backend) = (
            json!({"tokenizer_class": "DistilBertTokenizerFast"}),
            json!({"tokenizer_class": "PreTrainedTokenizerFast"}),
        );
        assert_eq!(choose(json!({}), json!({})), Ok(TokenizerClass::Bert));
        assert_eq!(choose(bert.clone(), backend.clone()), Ok(TokenizerClass::Bert));
        assert_eq!(choose(json!({"tokenizer_class": null}), backend.clone()), Ok(TokenizerClass::Backend));
        assert_eq!(choose(backend, bert), Ok(TokenizerClass::Backend));
        for other in [json!("RobertaTokenizerFast"), json!(7)] {
            assert!(choose(json!({"tokenizer_class": other}), json!({})).unwrap_err().contains("tokenizer_class"));
        }
    }
}
