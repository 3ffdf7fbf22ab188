//! Which files hold the weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result};

/// The weights in one file.
pub const WHOLE: &str = "model.safetensors";
/// The list of the files that hold the weights together.
pub const INDEX: &str = "model.safetensors.index.json";

/// The files of one checkpoint's weights, all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles {
    index: Option<PathBuf>,
    shards: Vec<PathBuf>,
}

impl WeightFiles {
    /// Those in a folder. Where there are both, the one file counts, as in transformers.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there are none, a shard is missing, or the index cannot be read.
    pub fn find(folder: &Path) -> Result<Self> {
        let whole = folder.join(WHOLE);
        if whole.is_file() {
            return Ok(Self { index: None, shards: vec![whole] });
        }
        let index = folder.join(INDEX);
        if !index.is_file() {
            return Err(missing(folder));
        }
        let shards: Vec<_> = shards(&index)?.iter().map(|shard| folder.join(shard)).collect();
        match shards.iter().find(|shard| !shard.is_file()) {
            Some(shard) => {
                Err(Error::Checkpoint(format!("{}: not found; {} names it", shard.display(), index.display())))
            }
            None => Ok(Self { index: Some(index), shards }),
        }
    }

    /// What a reader would call the weights: the one file, or the index.
    pub fn path(&self) -> &Path {
        self.index.as_deref().unwrap_or(&self.shards[0])
    }

    /// The files of tensors, in the order in which they are read.
    pub fn shards(&self) -> &[PathBuf] {
        &self.shards
    }

    /// All files, the index among them.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.index.iter().chain(&self.shards)
    }
}

/// The names of the files that an index names, each once.
///
/// # Errors
/// [`Error::Checkpoint`] when it cannot be read, names none, or one outside the checkpoint's folder.
pub fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let wrong = |cause: String| Error::Checkpoint(format!("{}: {cause}", index.display()));
    let text = std::fs::read_to_string(index).map_err(|e| wrong(e.to_string()))?;
    let read: Index = serde_json::from_str(&text).map_err(|e| wrong(format!("not an index of weights: {e}")))?;
    let shards: BTreeSet<String> = read.weight_map.into_values().collect();
    let is_inside = |shard: &str| {
        !shard.is_empty() && Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)))
    };
    if let Some(outside) = shards.iter().find(|shard| !is_inside(shard)) {
        return Err(wrong(format!("weight_map names {outside:?}, which is no file of the checkpoint's folder")));
    }
    if shards.is_empty() {
        return Err(wrong("weight_map names no file".to_owned()));
    }
    Ok(shards)
}

fn missing(folder: &Path) -> Error {
    let has = |file: &str| folder.join(file).is_file();
    let hint = if has("pytorch_model.bin") || has("pytorch_model.bin.index.json") {
        "it holds pytorch_model.bin alone: write safetensors with save_pretrained of transformers".to_owned()
    } else if let Some(other) = other_weights(folder) {
        format!("it holds {other}: if that is the whole model, call it {WHOLE}")
    } else {
        "a checkpoint has config.json, model.safetensors, and tokenizer.json or vocab.txt".to_owned()
    };
    Error::Checkpoint(format!("{}: not found; {hint}", folder.join(WHOLE).display()))
}

/// Weights by another name, as `model.fp16.safetensors`.
fn other_weights(folder: &Path) -> Option<String> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|file| file.ok()?.file_name().into_string().ok());
    files.filter(|file| file.ends_with(".safetensors")).min()
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[track_caller]
    fn refused(files: &[(&str, &str)], expected: &[&str]) {
        let folder = folder(files);
        let error = WeightFiles::find(folder.path()).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    const TWO: &str = r#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}"#;

    #[test]
    fn shards_are_read_in_the_order_of_their_names() {
        let folder = folder(&[(INDEX, TWO), ("1.safetensors", ""), ("2.safetensors", "")]);
        let files = WeightFiles::find(folder.path()).unwrap();
        let names: Vec<_> = files.all().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, [INDEX, "1.safetensors", "2.safetensors"]);
        assert_eq!((files.path(), files.shards().len()), (&*folder.path().join(INDEX), 2));
    }

    #[test]
    fn one_file_goes_before_an_index() {
        let folder = folder(&[(INDEX, TWO), (WHOLE, "")]);
        let files = WeightFiles::find(folder.path()).unwrap();
        assert_eq!(files.all().collect::<Vec<_>>(), [&folder.path().join(WHOLE)]);
    }

    #[test]
    fn a_shard_that_is_missing() {
        refused(&[(INDEX, TWO), ("1.safetensors", "")], &["2.safetensors: not found", INDEX]);
    }

    #[test]
    fn files_outside_the_folder() {
        for outside in ["../1.safetensors", "/etc/passwd", "", "a/../../b", "./.."] {
            let index = serde_json::json!({"weight_map": {"a": outside}}).to_string();
            refused(&[(INDEX, &index)], &[INDEX, "weight_map", "no file of the checkpoint's folder"]);
        }
    }

    #[test]
    fn an_index_that_is_none() {
        refused(&[(INDEX, "{")], &[INDEX, "not an index of weights"]);
        refused(&[(INDEX, "{}")], &[INDEX, "weight_map"]);
        refused(&[(INDEX, r#"{"weight_map": {}}"#)], &[INDEX, "names no file"]);
    }

    #[test]
    fn hints_at_what_is_there_instead() {
        refused(&[], &["model.safetensors: not found", "a checkpoint has config.json"]);
        refused(&[("pytorch_model.bin", "")], &["save_pretrained"]);
        refused(&[("model.fp16.safetensors", "")], &["model.fp16.safetensors"]);
    }
}
