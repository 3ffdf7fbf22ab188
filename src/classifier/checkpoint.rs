//! Where a checkpoint's files are: in a folder, or on the hub with its cache.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::bundled::{self, BUNDLED};
use super::hub::Hub;
use super::weight_files::{self, WeightFiles};
use crate::hexadecimal::hexadecimal;
use crate::{Error, Result};

/// The checkpoint that serves where none is named.
pub const DEFAULT_MODEL: &str = "distilbert/distilbert-base-uncased-finetuned-sst-2-english";

/// What `--model` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The small model that comes along.
    Bundled,
    /// A folder in the layout of Hugging Face.
    Folder(PathBuf),
    /// A repository on the hub.
    Hub {
        /// `owner/name`
        id: String,
        /// A branch, a tag or a commit.
        revision: String,
    },
}

impl FromStr for ModelSource {
    type Err = String;

    /// `bundled` is the model that comes along, a folder that exists is a folder; otherwise `owner/name[@revision]` is a hub id.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == BUNDLED {
            return Ok(Self::Bundled);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.exists() {
            return Err("a file; expected the folder that holds config.json and model.safetensors".to_owned());
        }
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let is_revision = !revision.is_empty() && revision.split('/').all(is_name);
        // The cache writes a slash as two hyphens.
        let is_id = !id.contains("--") && !id.contains("..") && !id.ends_with(['-', '.']);
        match id.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) && is_id && is_revision => {
                Ok(Self::Hub { id: id.to_owned(), revision: revision.to_owned() })
            }
            _ => Err("no such folder, and not a hub id of the form owner/name or owner/name@revision, nor bundled"
                .to_owned()),
        }
    }
}

/// The files of one checkpoint, all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// What `--model` named.
    pub name: String,
    /// The commit, where the hub told us one.
    pub revision: Option<String>,
    /// `config.json`
    pub config: PathBuf,
    /// `model.safetensors`, or an index and its shards
    pub weights: WeightFiles,
    /// What the tokenizer is made of.
    pub tokenizer: TokenizerFiles,
}

/// The files that a tokenizer is made of: `tokenizer.json` or `vocab.txt` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`
    pub tokenizer: Option<PathBuf>,
    /// `vocab.txt`
    pub vocab: Option<PathBuf>,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<PathBuf>,
    /// `special_tokens_map.json`, which counts where `tokenizer_config.json` has no `added_tokens_decoder`.
    pub special_tokens_map: Option<PathBuf>,
    /// `added_tokens.json`, which counts there, too.
    pub added_tokens: Option<PathBuf>,
}

impl TokenizerFiles {
    /// Those of a folder.
    pub fn find(folder: &Path) -> Self {
        let find = |file: &str| Some(folder.join(file)).filter(|path| path.is_file());
        Self {
            tokenizer: find("tokenizer.json"),
            vocab: find("vocab.txt"),
            tokenizer_config: find("tokenizer_config.json"),
            special_tokens_map: find("special_tokens_map.json"),
            added_tokens: find("added_tokens.json"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { tokenizer, vocab, tokenizer_config, special_tokens_map, added_tokens } = self;
        [tokenizer_config, tokenizer, vocab, special_tokens_map, added_tokens].into_iter().flatten()
    }
}

/// The names of a checkpoint's files, the largest last: a download that broke off before it is not taken for whole.
const FILES: [&str; 9] = [
    "config.json",
    ADAPTER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "vocab.txt",
    weight_files::INDEX,
    weight_files::WHOLE,
];

/// Where it lies, the weights are not all of the model.
const ADAPTER: &str = "adapter_config.json";

impl Checkpoint {
    /// Finds the files, fetching from the hub what its cache lacks.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the file that is missing, or why the hub could not be asked.
    pub fn open(source: &ModelSource) -> Result<Self> {
        match source {
            ModelSource::Bundled => Self::from_folder(&bundled::folder()?, bundled::NAME, None),
            ModelSource::Folder(folder) => Self::from_folder(folder, &folder.display().to_string(), None),
            ModelSource::Hub { id, revision } => {
                let snapshot = Hub::new(id, revision)?.fetch(&FILES, &shards)?;
                let found = Self::from_folder(&snapshot.folder, id, Some(snapshot.commit));
                found.map_err(|error| match &snapshot.unasked {
                    Some(why) => Error::Checkpoint(format!("{error} (the cache's; the hub was not asked: {why})")),
                    None => error,
                })
            }
        }
    }

    /// The hash of the checkpoint's files, in hexadecimal: equal files, equal version, wherever they lie.
    ///
    /// # Errors
    /// [`Error::File`] when one cannot be read.
    pub fn version(&self) -> Result<String> {
        let mut version = Sha256::new();
        for path in [&self.config].into_iter().chain(self.tokenizer.all()).chain(self.weights.all()) {
            // Each file by its own hash, so that none can end where another begins.
            let mut file = HashedFile::default();
            File::open(path)
                .and_then(|mut opened| std::io::copy(&mut opened, &mut file))
                .map_err(|error| Error::file(path, error))?;
            version.update(file.0.finalize());
        }
        Ok(hexadecimal(&version.finalize()))
    }

    fn from_folder(folder: &Path, name: &str, revision: Option<String>) -> Result<Self> {
        let find = |file: &str| Some(folder.join(file)).filter(|path| path.is_file());
        let missing = |file: &str| missing(folder, file);
        if let Some(adapter) = find(ADAPTER) {
            let cause = "an adapter that is not merged into the weights: save what merge_and_unload of peft gives";
            return Err(Error::Checkpoint(format!("{}: {cause}", adapter.display())));
        }
        let config = find("config.json").ok_or_else(|| missing("config.json"))?;
        let weights = WeightFiles::find(folder)?;
        let tokenizer = TokenizerFiles::find(folder);
        if tokenizer.tokenizer.is_none() && tokenizer.vocab.is_none() {
            return Err(missing("tokenizer.json (or vocab.txt)"));
        }
        Ok(Self { name: name.to_owned(), revision, config, weights, tokenizer })
    }
}

/// Takes what is written into a hash.
#[derive(Default)]
struct HashedFile(Sha256);

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What an index in the folder names beyond [`FILES`].
fn shards(folder: &Path) -> Result<Vec<String>> {
    let index = folder.join(weight_files::INDEX);
    if !index.is_file() || folder.join(weight_files::WHOLE).is_file() {
        return Ok(Vec::new());
    }
    Ok(weight_files::shards(&index)?.into_iter().collect())
}

fn missing(folder: &Path, file: &str) -> Error {
    let path = folder.join(file);
    let hint = "a checkpoint has config.json, model.safetensors, and tokenizer.json or vocab.txt";
    Error::Checkpoint(format!("{}: not found; {hint}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(id: &str, revision: &str) -> ModelSource {
        ModelSource::Hub { id: id.to_owned(), revision: revision.to_owned() }
    }

    #[test]
    fn tells_folders_from_hub_ids() {
        assert_eq!(DEFAULT_MODEL.parse::<ModelSource>().unwrap(), hub(DEFAULT_MODEL, "main"));
        assert_eq!("a/b.c@v1.0".parse::<ModelSource>().unwrap(), hub("a/b.c", "v1.0"));
        assert_eq!("a/b@refs/pr/3".parse::<ModelSource>().unwrap(), hub("a/b", "refs/pr/3"));
        assert_eq!("bundled".parse::<ModelSource>().unwrap(), ModelSource::Bundled);
        assert_eq!("src/classifier".parse(), Ok::<_, String>(ModelSource::Folder("src/classifier".into())));
        for wrong in [
            "",
            "name",
            "/no/such/folder",
            "../no-such-model",
            "a/b/c",
            "a/b@",
            "a/b@..",
            "a b/c",
            "./a/b",
            "a/b--c",
            "a/b..c",
            "a/b.",
        ] {
            let error = wrong.parse::<ModelSource>().unwrap_err();
            assert!(error.contains("owner/name"), "{wrong}: {error}");
        }
        assert!("src/lib.rs".parse::<ModelSource>().unwrap_err().contains("a file"));
    }

    #[test]
    fn what_comes_along_has_a_name_and_is_the_same_as_its_folder() {
        let bundled = Checkpoint::open(&ModelSource::Bundled).unwrap();
        let folder = Checkpoint::open(&ModelSource::Folder("data/sst2-mini".into())).unwrap();
        assert_eq!(bundled.name, "sst2-mini");
        assert_eq!(bundled.version().unwrap(), folder.version().unwrap());
    }

    #[test]
    fn names_the_file_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Checkpoint::open(&ModelSource::Folder(folder.path().to_owned()));
        for (file, next) in [("config.json", "model.safetensors"), ("model.safetensors", "tokenizer.json")] {
            let before = open().unwrap_err().to_string();
            assert!(before.contains(file) && before.contains("not found"), "{before}");
            std::fs::write(folder.path().join(file), "").unwrap();
            let after = open().unwrap_err().to_string();
            assert!(after.contains(next), "{after}");
        }
        std::fs::write(folder.path().join("vocab.txt"), "").unwrap();
        assert!(open().unwrap().tokenizer.vocab.is_some());
    }

    #[test]
    fn a_version_is_of_the_files_and_not_of_their_place() {
        let version_with = |config: &str, more: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let more = more.iter().map(|file| (*file, "{}"));
            for (file, text) in
                [("config.json", config), ("model.safetensors", "w"), ("vocab.txt", "a")].into_iter().chain(more)
            {
                std::fs::write(folder.path().join(file), text).unwrap();
            }
            Checkpoint::open(&ModelSource::Folder(folder.path().to_owned())).unwrap().version().unwrap()
        };
        let version = |config: &str| version_with(config, &[]);
        for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
            assert_ne!(version_with("{}", &[file]), version("{}"), "{file}");
        }
        assert_eq!(version("{}"), version("{}"));
        assert_ne!(version("{}"), version("{ }"));
        assert_eq!(version("{}").len(), 64);
    }

    #[test]
    fn a_version_covers_the_index_and_every_shard() {
        let version = |index: &str, shards: [&str; 2]| {
            let folder = tempfile::tempdir().unwrap();
            let files = [
                ("config.json", "{}"),
                ("vocab.txt", "a"),
                (weight_files::INDEX, index),
                ("1.safetensors", shards[0]),
                ("2.safetensors", shards[1]),
            ];
            for (file, text) in files {
                std::fs::write(folder.path().join(file), text).unwrap();
            }
            Checkpoint::open(&ModelSource::Folder(folder.path().to_owned())).unwrap().version().unwrap()
        };
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let whole = version(index, ["1", "2"]);
        for other in
            [version(&index.replace('b', "c"), ["1", "2"]), version(index, ["1", ""]), version(index, ["", "2"])]
        {
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn an_adapter_is_not_a_model() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "adapter_config.json", "model.safetensors", "vocab.txt"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let error = Checkpoint::open(&ModelSource::Folder(folder.path().to_owned())).unwrap_err().to_string();
        assert!(error.contains("adapter_config.json") && error.contains("merge_and_unload"), "{error}");
    }
}
