//! What the tests share: where the fixtures are, and loaded checkpoints.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use textflight::Result;
use textflight::classifier::{Checkpoint, Classifier, ClassifierOptions, DTypeChoice, ModelSource};

/// A path below the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    repository("tests/fixtures").join(path)
}

/// A JSON fixture.
pub fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The checkpoint in a folder, as the server would load it.
pub fn load(folder: &Path, max_length: usize) -> Result<Classifier> {
    load_in(folder, max_length, DTypeChoice::F32)
}

/// The same in a precision.
pub fn load_in(folder: &Path, max_length: usize, dtype: DTypeChoice) -> Result<Classifier> {
    let checkpoint = Checkpoint::open(&ModelSource::Folder(folder.to_owned()))?;
    Classifier::load(&checkpoint, ClassifierOptions { max_length, dtype, ..ClassifierOptions::default() })
}

/// A copy of a good checkpoint, to be broken.
pub fn copy_checkpoint(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("golden").join(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Writes one key of the folder's `config.json`.
pub fn edit_config(folder: &Path, key: &str, value: Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(path, config.to_string()).unwrap();
}
