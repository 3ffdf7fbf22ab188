//! What a checkpoint's files say of its tokenizer, merged as transformers 5 merges them: the arguments of its class.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::json::{is_truthy, read_object};
use super::token_spec::{TokenSpec, known_text, loaded};
use super::unusable;
use crate::classifier::checkpoint::TokenizerFiles;
use crate::{Error, Result};

/// The special tokens that have a name, in the order in which they are added.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Settings that stand for code or files of their own, or that only a program may pass.
const NOT_SERVED: [&str; 9] = [
    "auto_map",
    "fast_tokenizer_files",
    "gguf_file",
    "init_inputs",
    "merges",
    "tokenizer_object",
    "tokenizer_padding",
    "tokenizer_truncation",
    "vocab",
];

/// The arguments of a tokenizer's class.
pub struct Arguments<'a> {
    files: &'a TokenizerFiles,
    values: Map<String, Value>,
    /// What `special_tokens_map.json` set.
    mapped: HashSet<String>,
    /// `added_tokens_decoder`, or what the older files have in its place, by their ids.
    added: BTreeMap<i64, TokenSpec>,
    /// The same by text: the last one counts.
    by_text: HashMap<String, TokenSpec>,
}

impl<'a> Arguments<'a> {
    /// Reads the files. `listed` are the added tokens of `tokenizer.json`, where it is there.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the file and the setting that cannot be honoured.
    pub fn read(files: &'a TokenizerFiles, listed: Option<&Value>) -> Result<Self> {
        let values = files.tokenizer_config.as_deref().map_or_else(|| Ok(Map::new()), read_object)?;
        let mut arguments =
            Self { files, values, mapped: HashSet::new(), added: BTreeMap::new(), by_text: HashMap::new() };
        arguments.refuse_what_is_not_served()?;
        arguments.rename_additional();
        arguments.gather_model_specific();
        match arguments.values.remove("added_tokens_decoder") {
            Some(decoder) => arguments.add_decoder(&decoder)?,
            None => arguments.add_legacy(listed)?,
        }
        // The class itself looks once more, when `special_tokens_map.json` may have brought it.
        if !arguments.values.contains_key("extra_special_tokens") {
            arguments.rename_additional();
        }
        Ok(arguments)
    }

    /// A setting as the files have it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A setting that is on or off.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is neither.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, &format!("{other}; expected true or false"))),
        }
    }

    /// Tokens that the files number, by their numbers. The numbers give the order only, as in transformers.
    pub fn added(&self) -> impl Iterator<Item = &TokenSpec> {
        self.added.values()
    }

    /// A special token with a name; `default` where no file names it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is no token.
    pub fn named(&self, key: &str, default: Option<&str>) -> Result<Option<TokenSpec>> {
        let token = match self.get(key) {
            None => return Ok(default.map(TokenSpec::named)),
            Some(Value::Null) => return Ok(None),
            Some(value) => TokenSpec::of(value).map_err(|why| self.wrong(key, &why))?,
        };
        Ok(Some(self.by_text.get(&token.content).cloned().unwrap_or(token)))
    }

    /// All special tokens with a name, in the order in which transformers adds them.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when one is no token.
    pub fn all_named(&self, default: impl Fn(&str) -> Option<String>) -> Result<Vec<TokenSpec>> {
        let mut tokens = Vec::new();
        for key in NAMED {
            tokens.extend(self.named(key, default(key).as_deref())?);
        }
        for (key, value) in &self.values {
            if is_custom(key)
                && let Ok(token) = TokenSpec::of(value)
            {
                tokens.push(token);
            }
        }
        for (key, value) in self.object("model_specific_special_tokens")? {
            tokens.push(TokenSpec::of(value).map_err(|why| self.wrong(key, &why))?);
        }
        Ok(tokens)
    }

    /// Special tokens without a name.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when one is no token.
    pub fn extras(&self) -> Result<Vec<TokenSpec>> {
        let key = "extra_special_tokens";
        match self.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(tokens)) => {
                tokens.iter().map(|token| TokenSpec::of(token).map_err(|why| self.wrong(key, &why))).collect()
            }
            Some(other) => Err(self.wrong(key, &format!("{other}; expected a list of tokens"))),
        }
    }

    /// An error about a setting, with the file that it stands in.
    pub fn wrong(&self, key: &str, why: &str) -> Error {
        let file =
            if self.mapped.contains(key) { &self.files.special_tokens_map } else { &self.files.tokenizer_config };
        let file = file.as_deref().unwrap_or(Path::new("tokenizer_config.json"));
        unusable(file, &format!("{key}: {why}"))
    }

    fn refuse_what_is_not_served(&self) -> Result<()> {
        let is_set = |value: &Value| !matches!(value, Value::Null) && *value != Value::Array(Vec::new());
        match NOT_SERVED.iter().find(|key| self.get(key).is_some_and(is_set)) {
            Some(key) => Err(self.wrong(key, "not served; take it out if the tokenizer is the same without it")),
            None => Ok(()),
        }
    }

    fn object(&self, key: &str) -> Result<impl Iterator<Item = (&String, &Value)>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None.into_iter().flatten()),
            Some(Value::Object(object)) => Ok(Some(object).into_iter().flatten()),
            Some(other) => Err(self.wrong(key, &format!("{other}; expected an object"))),
        }
    }

    fn rename_additional(&mut self) {
        if !self.values.get("extra_special_tokens").is_some_and(is_truthy)
            && let Some(tokens) = self.values.shift_remove("additional_special_tokens")
        {
            if self.mapped.remove("additional_special_tokens") {
                self.mapped.insert("extra_special_tokens".to_owned());
            }
            self.values.insert("extra_special_tokens".to_owned(), tokens);
        }
    }

    /// Tokens under names of the model's own: `image_token` and the like, and `extra_special_tokens` with names.
    fn gather_model_specific(&mut self) {
        let custom = |(key, value): &(&String, &Value)| is_custom(key) && value.is_string();
        let keys: Vec<String> = self.values.iter().filter(custom).map(|(key, _)| key.clone()).collect();
        let mut found: Map<String, Value> =
            keys.into_iter().filter_map(|key| self.values.shift_remove_entry(&key)).collect();
        if let Some(Value::Object(extra)) = self.values.get("extra_special_tokens") {
            found.extend(extra.clone());
            self.values.shift_remove("extra_special_tokens");
        }
        if !found.is_empty() {
            self.values.insert("model_specific_special_tokens".to_owned(), Value::Object(found));
        }
    }

    fn add(&mut self, id: i64, token: TokenSpec) {
        self.by_text.insert(token.content.clone(), token.clone());
        self.added.insert(id, token);
    }

    fn add_decoder(&mut self, decoder: &Value) -> Result<()> {
        let key = "added_tokens_decoder";
        let Value::Object(decoder) = decoder else {
            return Err(self.wrong(key, &format!("{decoder}; expected an object of ids and tokens")));
        };
        for (id, token) in decoder {
            let number = id.parse().map_err(|_| self.wrong(key, &format!("the id {id:?} is no number")))?;
            let token = match token {
                Value::Object(object) => TokenSpec::of_object(object),
                other => Err(format!("{other} is no token; expected an object")),
            };
            let token = token.map_err(|why| self.wrong(key, &format!("{id}: {why}")))?;
            self.add(number, token);
        }
        Ok(())
    }

    /// What counts where `tokenizer_config.json` has no `added_tokens_decoder`.
    fn add_legacy(&mut self, listed: Option<&Value>) -> Result<()> {
        if let Some(path) = &self.files.special_tokens_map {
            self.merge_special_tokens_map(read_object(path)?);
        }
        if let Some(path) = &self.files.added_tokens {
            self.add_numbered(path, read_object(path)?)?;
        }
        if let (Some(listed), Some(path)) = (listed, &self.files.tokenizer) {
            self.add_listed(path, listed)?;
        }
        Ok(())
    }

    fn merge_special_tokens_map(&mut self, map: Map<String, Value>) {
        for (key, value) in map {
            let value = match value {
                Value::Object(object) if key != "extra_special_tokens" => loaded(object),
                Value::Object(named) => {
                    self.extend_model_specific(named);
                    continue;
                }
                Value::Array(tokens) if key == "extra_special_tokens" => self.with_existing(tokens),
                other => other,
            };
            self.mapped.insert(key.clone());
            self.values.insert(key, value);
        }
    }

    fn with_existing(&self, tokens: Vec<Value>) -> Value {
        let existing = self.values.get("extra_special_tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        let tokens = tokens.into_iter().map(|token| match token {
            Value::Object(object) => loaded(object),
            other => other,
        });
        Value::Array(existing.into_iter().chain(tokens).collect())
    }

    fn extend_model_specific(&mut self, named: Map<String, Value>) {
        self.values.shift_remove("extra_special_tokens");
        let specific = self.values.entry("model_specific_special_tokens").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(specific) = specific {
            specific.extend(named);
        }
    }

    fn add_numbered(&mut self, path: &Path, tokens: Map<String, Value>) -> Result<()> {
        let mut special: HashSet<String> =
            NAMED.iter().filter_map(|key| known_text(self.values.get(*key)?)).map(ToOwned::to_owned).collect();
        if let Some(Value::Array(extra)) = self.values.get("extra_special_tokens") {
            special.extend(extra.iter().filter_map(known_text).map(ToOwned::to_owned));
        }
        for (text, id) in tokens {
            let number = id.as_i64().ok_or_else(|| unusable(path, &format!("{text:?}: the id {id} is no number")))?;
            self.add(number, TokenSpec::legacy(&text, special.contains(&text)));
        }
        Ok(())
    }

    fn add_listed(&mut self, path: &Path, listed: &Value) -> Result<()> {
        let wrong = |why: String| unusable(path, &format!("added_tokens: {why}"));
        let listed = listed.as_array().ok_or_else(|| wrong("expected a list".to_owned()))?;
        for token in listed {
            let object = token.as_object().ok_or_else(|| wrong(format!("{token} is no token")))?;
            let id = object.get("id").and_then(Value::as_i64).ok_or_else(|| wrong(format!("{token} has no id")))?;
            self.add(id, TokenSpec::of_object(object).map_err(wrong)?);
        }
        Ok(())
    }
}

/// `image_token` and the like.
fn is_custom(key: &str) -> bool {
    key.ends_with("_token") && !NAMED.contains(&key)
}
