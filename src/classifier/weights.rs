//! The tensors of a checkpoint, asked for by name and shape.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use super::architecture::Family;
use super::weight_files::WeightFiles;
use crate::{Error, Result};

/// The tensors of all files, by the names that the family gives them.
pub struct Weights {
    family: &'static Family,
    path: PathBuf,
    files: Vec<(PathBuf, MmapedSafetensors)>,
    names: HashMap<String, Stored>,
    taken: HashSet<String>,
}

/// Where a tensor is.
struct Stored {
    file: usize,
    name: String,
}

impl Weights {
    /// Maps the files: a tensor is read when it is taken, and what is not taken is never read.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a file cannot be read, or is truncated or corrupt.
    pub fn open(files: &WeightFiles, family: &'static Family) -> Result<Self> {
        let path = files.path().to_owned();
        let files = files.shards().iter().map(|shard| Ok((shard.clone(), map(shard)?))).collect::<Result<Vec<_>>>()?;
        // Of tensors with one name the last file's counts, and of names for one tensor the first, as in transformers.
        let mut stored = BTreeMap::new();
        for (index, (_, file)) in files.iter().enumerate() {
            stored.extend(file.tensors().into_iter().map(|(name, _)| (name, index)));
        }
        let mut names = HashMap::new();
        for (name, file) in stored {
            names.entry(plain(&name, family.prefix)).or_insert(Stored { file, name });
        }
        Ok(Self { family, path, files, names, taken: HashSet::new() })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The tensor `name`, which must have this shape, as f32.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is missing, has another shape or is not of floats.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Stored { file, name: stored } = self.names.get(name).ok_or_else(|| {
            let cause = "config.json and the weights belong to different models";
            wrong(&self.path, format!("the tensor {name} is missing; {cause}"))
        })?;
        let (path, file) = &self.files[*file];
        let tensor = file.load(stored, &Device::Cpu).map_err(|e| wrong(path, format!("the tensor {stored}: {e}")))?;
        if tensor.dims() != shape {
            return Err(wrong(
                path,
                format!(
                    "the tensor {stored} is {:?}, but config.json asks for {shape:?}; the two files belong to different models",
                    tensor.dims()
                ),
            ));
        }
        if !tensor.dtype().is_float() {
            let cause = format!("the tensor {stored} is of {:?}, not of f32, f16, bf16 or f64", tensor.dtype());
            return Err(wrong(path, cause));
        }
        self.taken.insert(name.to_owned());
        tensor.to_dtype(DType::F32).map_err(|e| wrong(path, format!("the tensor {stored}: {e}")))
    }

    /// Checks that no encoder layer was left over, as it is when `config.json` names fewer than the file has.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the name of a tensor that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let layers = format!("{}.", self.family.layers);
        let left = |name: &&String| name.starts_with(&layers) && !self.taken.contains(*name);
        match self.names.keys().filter(left).min() {
            Some(name) => Err(wrong(
                &self.path,
                format!(
                    "the tensor {name} belongs to a layer that config.json does not have; the two files belong to different models"
                ),
            )),
            None => Ok(()),
        }
    }
}

fn map(path: &Path) -> Result<MmapedSafetensors> {
    // Mapping does not say why a file cannot be read.
    File::open(path).map_err(|e| wrong(path, e.to_string()))?;
    // SAFETY: the mapping lives while the model is loaded, and nobody writes to a checkpoint in that time: hub files
    // are never changed in place, and a folder that is written to while it is loaded is broken one way or another.
    unsafe { MmapedSafetensors::new(path) }.map_err(|e| {
        if is_lfs_pointer(path) {
            return wrong(path, "a pointer of Git LFS, not the weights; git lfs pull fetches them".to_owned());
        }
        let cause = e.to_string();
        let cause = cause.lines().next().unwrap_or_default();
        wrong(path, format!("truncated, or not a safetensors file ({cause}); delete it and fetch it again"))
    })
}

/// What a clone without LFS holds in place of a large file.
fn is_lfs_pointer(path: &Path) -> bool {
    const BEGIN: &[u8] = b"version https://git-lfs.github.com/";
    let mut begin = [0; BEGIN.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok_and(|()| begin == BEGIN)
}

/// A tensor's name without the encoder's prefix, and of a norm's two tensors as PyTorch calls them: TensorFlow says gamma and beta.
fn plain(name: &str, prefix: &str) -> String {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_owned(),
    }
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Checkpoint(format!("{}: {what}", path.display()))
}
