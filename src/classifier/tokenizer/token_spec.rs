//! A token as a checkpoint's files declare it: a text, or an object with what a match may do.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// Marks an object of `special_tokens_map.json` as a token: what transformers makes an `AddedToken` at once.
const LOADED: &str = "__loaded";

/// A token to be found whole in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// Its text.
    pub content: String,
    /// Whether it is special, which `split_special_tokens` asks.
    special: bool,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// What is not special is matched in normalized text, unless the file says otherwise.
    normalized: Option<bool>,
}

impl TokenSpec {
    /// A token that is named by its text alone.
    pub fn named(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            special: true,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
        }
    }

    /// A token out of an object. Keys that are not a token's are left alone, as transformers does.
    pub fn of_object(object: &Map<String, Value>) -> Result<Self, String> {
        let flag = |key: &str| match object.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("{key} is {other}; expected true or false")),
        };
        let content = match object.get("content") {
            None => String::new(),
            Some(Value::String(content)) => content.clone(),
            Some(other) => return Err(format!("content is {other}; expected a text")),
        };
        Ok(Self {
            content,
            special: flag("special")?.unwrap_or(false),
            single_word: flag("single_word")?.unwrap_or(false),
            lstrip: flag("lstrip")?.unwrap_or(false),
            rstrip: flag("rstrip")?.unwrap_or(false),
            normalized: flag("normalized")?,
        })
    }

    /// A token out of a text or of an object that says that it is one.
    pub fn of(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(content) => Ok(Self::named(content)),
            Value::Object(object) if is_token(object) => Self::of_object(object),
            other => Err(format!("{other} is no token; expected a text, or an object with \"__type\": \"AddedToken\"")),
        }
    }

    /// For a vocabulary. One that has a name is special, whatever the file says.
    pub fn added(&self, has_name: bool) -> AddedToken {
        let special = self.special || has_name;
        AddedToken::from(self.content.clone(), special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }

    /// From `added_tokens.json`, which has texts and ids only.
    pub fn legacy(content: &str, special: bool) -> Self {
        Self { special, normalized: Some(!special), ..Self::named(content) }
    }
}

fn is_token(object: &Map<String, Value>) -> bool {
    object.contains_key(LOADED) || object.get("__type").is_some_and(|kind| kind == "AddedToken")
}

/// An object of `special_tokens_map.json`, as a special token.
pub fn loaded(mut object: Map<String, Value>) -> Value {
    object.insert("special".to_owned(), Value::Bool(true));
    object.insert(LOADED.to_owned(), Value::Bool(true));
    Value::Object(object)
}

/// The text of a token that transformers knows for one before it looks at `__type`.
pub fn known_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(object) if object.contains_key(LOADED) => object.get("content")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_a_token_only_where_it_says_so() {
        let bare = json!({"content": "[X]", "lstrip": true});
        assert!(TokenSpec::of(&bare).unwrap_err().contains("__type"));
        let marked = json!({"__type": "AddedToken", "content": "[X]", "lstrip": true, "unknown": 1});
        let token = TokenSpec::of(&marked).unwrap().added(false);
        assert_eq!(token, AddedToken::from("[X]", false).lstrip(true));
        let Value::Object(object) = bare else { unreachable!() };
        assert_eq!(TokenSpec::of(&loaded(object)).unwrap().added(false), AddedToken::from("[X]", true).lstrip(true));
    }

    #[test]
    fn flags_that_are_none_are_refused() {
        for key in ["lstrip", "rstrip", "single_word", "normalized", "special"] {
            let Value::Object(object) = json!({"content": "x", key: null}) else { unreachable!() };
            let error = TokenSpec::of_object(&object).unwrap_err();
            assert!(error.contains(key) && error.contains("null"), "{error}");
        }
    }
}
