//! What transformers 5 makes of every setting: `tools/tokenizer_settings.py` wrote it down.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::classifier::TokenizerFiles;
use crate::classifier::tokenizer::{Encoding, TextTokenizer};
use crate::{Error, Result};

/// Rows of an embedding that has room for the added tokens.
const ROWS: usize = 384;

#[derive(Deserialize)]
struct Fixture {
    max_length: usize,
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    road: String,
    files: HashMap<String, Option<Map<String, Value>>>,
    #[serde(default)]
    ids: HashMap<usize, (usize, Vec<u32>)>,
    refused: Option<String>,
    may_refuse: Option<String>,
}

pub(super) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(super) fn load(folder: &Path, rows: usize, max_length: usize) -> Result<TextTokenizer> {
    TextTokenizer::load(&folder.join("config.json"), &TokenizerFiles::find(folder), rows, max_length)
}

fn read(path: &Path) -> Map<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Case {
    fn write(&self, folder: &Path) {
        let golden = repository("tests/fixtures/golden/f16");
        let changes = |file: &str| self.files.get(file).cloned().flatten().unwrap_or_default();
        let write = |file: &str, values: &Map<String, Value>| {
            std::fs::write(folder.join(file), serde_json::to_string(values).unwrap()).unwrap();
        };
        let mut config = read(&golden.join("config.json"));
        config.extend(changes("config.json"));
        write("config.json", &config);
        if self.road == "vocab" {
            std::fs::copy(golden.join("vocab.txt"), folder.join("vocab.txt")).unwrap();
        } else {
            write("tokenizer.json", &changed(read(&golden.join("tokenizer.json")), changes("tokenizer.json")));
        }
        for (file, values) in &self.files {
            if let Some(values) = values
                && !["config.json", "tokenizer.json"].contains(&file.as_str())
            {
                write(file, values);
            }
        }
    }

    fn load(&self, rows: usize, max_length: usize) -> Result<TextTokenizer> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        load(folder.path(), rows, max_length)
    }
}

fn changed(mut tokenizer: Map<String, Value>, mut changes: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(model)) = changes.remove("model") {
        let words: Vec<String> = tokenizer["model"]["vocab"].as_object().unwrap().keys().cloned().collect();
        tokenizer["model"].as_object_mut().unwrap().extend(model);
        if tokenizer["model"]["vocab"] == "a list" {
            tokenizer["model"]["vocab"] = words.into();
        }
    }
    tokenizer.extend(changes);
    tokenizer
}

#[test]
fn every_setting_is_honoured_as_transformers_does_or_refused() {
    let fixture = std::fs::read_to_string(repository("tests/fixtures/tokenizer_settings.json")).unwrap();
    let fixture: Fixture = serde_json::from_str(&fixture).unwrap();
    assert!(fixture.cases.len() > 500);
    let mut plain: HashMap<&str, &Case> = HashMap::new();
    let mut wrong = Vec::new();
    for case in &fixture.cases {
        let first = *plain.entry(&case.road).or_insert(case);
        if let Err(difference) = compare(case, first, &fixture) {
            wrong.push(format!("{} on the road {}: {difference}", case.name, case.road));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), fixture.cases.len(), wrong.join("\n"));
}

fn compare(case: &Case, plain: &Case, fixture: &Fixture) -> Result<(), String> {
    let tokenizer = match (case.load(ROWS, fixture.max_length), &case.refused, &case.may_refuse) {
        (Ok(tokenizer), None, _) => tokenizer,
        (Ok(_), Some(refused), _) => return Err(format!("loads, but transformers says {refused}")),
        (Err(Error::Checkpoint(_)), Some(_), _) => return Ok(()),
        (Err(Error::Checkpoint(text)), _, Some(setting)) if text.contains(setting) => return Ok(()),
        (Err(error), _, _) => return Err(format!("refused: {error}")),
    };
    for (index, text) in fixture.texts.iter().enumerate() {
        let (tokens, ids) = case.ids.get(&index).unwrap_or_else(|| &plain.ids[&index]);
        let expected = Encoding { ids: ids.clone(), tokens: *tokens };
        let found = tokenizer.encode(text, &|| ());
        if !found.as_ref().is_ok_and(|found| *found == expected) {
            return Err(format!("{text:?} gives {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_text_with_a_token_that_has_no_row_is_refused_by_itself() {
    let settings = serde_json::json!({"mask_token": "<mask>"}).as_object().cloned();
    let case = Case {
        name: String::new(),
        road: "vocab".to_owned(),
        files: HashMap::from([("tokenizer_config.json".to_owned(), settings)]),
        ids: HashMap::new(),
        refused: None,
        may_refuse: None,
    };
    let tokenizer = case.load(320, 128).unwrap();
    assert_eq!(tokenizer.encode("love", &|| ()).unwrap().tokens, 3);
    let error = tokenizer.encode("love <mask>", &|| ()).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("\"<mask>\" has the id 320")), "{error}");
    let error = case.load(319, 128).map(drop).unwrap_err().to_string();
    assert!(error.contains("vocab.txt: 321 token ids, but config.json has vocab_size 319"), "{error}");
}
