//! A tokenizer as transformers 5 would build it from a checkpoint's files.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{Model, Tokenizer};

use super::arguments::Arguments;
use super::class::TokenizerClass;
use super::json::read_object;
use super::token_spec::TokenSpec;
use super::unusable;
use crate::classifier::checkpoint::TokenizerFiles;
use crate::{Error, Result};

/// A tokenizer, and what is not inside it.
pub struct Built {
    /// Neither truncates nor pads.
    pub tokenizer: Tokenizer,
    /// Where a long text is cut.
    pub side: TruncationDirection,
}

/// Builds it from `tokenizer.json`, or from `vocab.txt` where there is none.
///
/// # Errors
/// [`Error::Checkpoint`] with the file, and the setting that cannot be honoured.
pub fn build(config: &Path, files: &TokenizerFiles) -> Result<Built> {
    let json = files.tokenizer.as_deref().map(read_tokenizer).transpose()?;
    let arguments = Arguments::read(files, json.as_ref().and_then(|(_, json)| json.get("added_tokens")))?;
    let tokenizer_config = files.tokenizer_config.as_deref().map_or_else(|| Ok(Map::new()), read_object)?;
    let class = TokenizerClass::choose(&tokenizer_config, &read_object(config)?);
    let class = class.map_err(|why| unusable(files.tokenizer_config.as_deref().unwrap_or(config), &why))?;
    match (class, json, &files.vocab) {
        (TokenizerClass::Bert, Some((path, json)), _) => bert_from_json(&arguments, path, json),
        (TokenizerClass::Bert, None, Some(vocab)) => bert_from_vocab(&arguments, vocab),
        (TokenizerClass::Backend, Some((path, json)), _) => backend(&arguments, path, &json),
        (TokenizerClass::Backend, None, Some(vocab)) => Err(unusable(
            vocab,
            &"tokenizer_config.json names a tokenizer_class that is read from tokenizer.json alone, which is missing",
        )),
        (_, None, None) => Err(Error::Checkpoint("neither tokenizer.json nor vocab.txt".to_owned())),
    }
}

/// `tokenizer.json`, with its path.
fn read_tokenizer(path: &Path) -> Result<(&Path, Map<String, Value>)> {
    let json = read_object(path)?;
    if json.contains_key("added_tokens") { Ok((path, json)) } else { Err(unusable(path, &"it has no added_tokens")) }
}

/// `BertTokenizer`'s own names for special tokens.
fn bert_default(key: &str) -> Option<String> {
    let name = key.strip_suffix("_token").filter(|name| ["unk", "sep", "pad", "cls", "mask"].contains(name))?;
    Some(format!("[{}]", name.to_uppercase()))
}

/// A named token that BERT cannot do without.
fn needed(arguments: &Arguments<'_>, key: &str) -> Result<TokenSpec> {
    let token = arguments.named(key, bert_default(key).as_deref())?;
    token.ok_or_else(|| arguments.wrong(key, "null; expected a token"))
}

/// Of `tokenizer.json` transformers takes the words and the side of truncation; its settings come from elsewhere.
fn bert_from_json(arguments: &Arguments<'_>, path: &Path, mut json: Map<String, Value>) -> Result<Built> {
    let words = json.get_mut("model").and_then(|model| model.get_mut("vocab")).map(Value::take);
    let words = words.and_then(numbered).ok_or_else(|| unusable(path, &"model.vocab: expected words and ids"))?;
    let unk = needed(arguments, "unk_token")?.content;
    let model =
        json!({"vocab": words, "unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100});
    let model: WordPiece = serde_json::from_value(model).map_err(|e| unusable(path, &format!("model.vocab: {e}")))?;
    let side = listed_side(&json);
    // The rest must be sound all the same.
    json.insert("added_tokens".to_owned(), json!([]));
    json.insert("model".to_owned(), json!({"type": "WordPiece", "vocab": {}, "unk_token": "", "continuing_subword_prefix": "", "max_input_chars_per_word": 0}));
    let bytes = serde_json::to_vec(&json).map_err(|e| unusable(path, &e))?;
    Tokenizer::from_bytes(bytes).map_err(|e| unusable(path, &e))?;
    bert(arguments, path, model, side)
}

/// Words by id, out of the list that older files have.
fn numbered(words: Value) -> Option<Value> {
    let word = |(id, word): (usize, &Value)| {
        let text = word.as_str().or_else(|| word.get(0)?.as_str())?;
        Some((text.to_owned(), Value::from(id)))
    };
    match words {
        Value::Object(_) => Some(words),
        Value::Array(list) => Some(Value::Object(list.iter().enumerate().map(word).collect::<Option<_>>()?)),
        _ => None,
    }
}

fn bert_from_vocab(arguments: &Arguments<'_>, vocab: &Path) -> Result<Built> {
    let bytes = std::fs::read(vocab).map_err(|e| unusable(vocab, &e))?;
    let words = WordPiece::read_bytes(&bytes).map_err(|e| unusable(vocab, &e))?;
    let unk = needed(arguments, "unk_token")?.content;
    let model = WordPiece::builder().vocab(words).unk_token(unk).build().map_err(|e| unusable(vocab, &e))?;
    bert(arguments, vocab, model, None)
}

fn bert(arguments: &Arguments<'_>, path: &Path, model: WordPiece, side: Option<String>) -> Result<Built> {
    let (cls, sep) = (needed(arguments, "cls_token")?.content, needed(arguments, "sep_token")?.content);
    if model.token_to_id(&model.unk_token).is_none() {
        return Err(unusable(
            path,
            &format!("the special token {} is not in it; is it the whole file?", model.unk_token),
        ));
    }
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(bert_normalizer(arguments)?)).map_err(|e| unusable(path, &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    add_tokens(arguments, path, &mut tokenizer, bert_default)?;
    let frame = frame(&tokenizer, &cls, &sep).map_err(|e| arguments.wrong("cls_token, sep_token", &e.to_string()))?;
    tokenizer.with_post_processor(Some(frame));
    finish(arguments, path, tokenizer, side)
}

fn bert_normalizer(arguments: &Arguments<'_>) -> Result<BertNormalizer> {
    let strip_accents = match arguments.get("strip_accents") {
        None | Some(Value::Null) => None,
        Some(_) => Some(arguments.flag("strip_accents", false)?),
    };
    let chinese = arguments.flag("tokenize_chinese_chars", true)?;
    Ok(BertNormalizer::new(true, chinese, strip_accents, arguments.flag("do_lower_case", true)?))
}

/// The special tokens around every text.
fn frame(tokenizer: &Tokenizer, cls: &str, sep: &str) -> tokenizers::Result<TemplateProcessing> {
    let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("{token} has no id"));
    let specials = vec![(cls.to_owned(), id(cls)?), (sep.to_owned(), id(sep)?)];
    let template =
        TemplateProcessing::builder().try_single(format!("{cls}:0 $A:0 {sep}:0"))?.special_tokens(specials).build()?;
    Ok(template)
}

/// `tokenizer.json` as it stands, and what the settings add.
fn backend(arguments: &Arguments<'_>, path: &Path, json: &Map<String, Value>) -> Result<Built> {
    let mut tokenizer = Tokenizer::from_file(path).map_err(|e| unusable(path, &e))?;
    let pad = json.get("padding").and_then(|padding| padding.get("pad_token")).and_then(Value::as_str);
    add_tokens(arguments, path, &mut tokenizer, |key| pad.filter(|_| key == "pad_token").map(ToOwned::to_owned))?;
    finish(arguments, path, tokenizer, listed_side(json))
}

/// The side that the `truncation` of `tokenizer.json` names.
fn listed_side(json: &Map<String, Value>) -> Option<String> {
    json.get("truncation")?.get("direction")?.as_str().map(str::to_lowercase)
}

/// First what the files number, then the special tokens that are not among them, in transformers' order: it gives ids.
fn add_tokens(
    arguments: &Arguments<'_>,
    path: &Path,
    tokenizer: &mut Tokenizer,
    default: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let named = arguments.all_named(default)?;
    let is_there = |text: &str| tokenizer.get_added_vocabulary().get_vocab().contains_key(text);
    let is_new = |token: &&TokenSpec| {
        !is_there(&token.content) && !arguments.added().any(|added| added.content == token.content)
    };
    let extras = arguments.extras()?;
    let new = named.iter().chain(&extras).filter(is_new);
    let tokens =
        arguments.added().chain(new).map(|token| token.added(named.iter().any(|other| other.content == token.content)));
    let tokens: Vec<_> = tokens.collect();
    tokenizer.add_tokens(tokens).map_err(|e| unusable(path, &format!("its added tokens: {e}"))).map(drop)
}

fn finish(arguments: &Arguments<'_>, path: &Path, mut tokenizer: Tokenizer, listed: Option<String>) -> Result<Built> {
    // We truncate and never pad: what the file says of either is for others.
    tokenizer.with_truncation(None).map_err(|e| unusable(path, &e))?.with_padding(None);
    tokenizer.set_encode_special_tokens(arguments.flag("split_special_tokens", false)?);
    let side = arguments.get("truncation_side").cloned().or(listed.map(Value::from));
    let side = match side.as_ref().map(Value::as_str) {
        None | Some(Some("right")) => TruncationDirection::Right,
        Some(Some("left")) => TruncationDirection::Left,
        Some(_) => {
            let found = side.unwrap_or_default();
            return Err(arguments.wrong("truncation_side", &format!("{found}; expected \"left\" or \"right\"")));
        }
    };
    Ok(Built { tokenizer, side })
}
