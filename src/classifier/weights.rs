//! The tensors of a `model.safetensors`, asked for by name and shape.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The tensors of one file. Encoder tensors are found with and without the prefix `distilbert.`.
pub struct Weights {
    path: PathBuf,
    file: MmapedSafetensors,
    /// The name in the file by the name without its prefix.
    names: HashMap<String, String>,
    taken: HashSet<String>,
}

const PREFIX: &str = "distilbert.";

impl Weights {
    /// Maps the file: a tensor is read when it is taken, and what is not taken is never read.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the file cannot be read, or is truncated or corrupt.
    pub fn open(path: &Path) -> Result<Self> {
        // Mapping does not say why a file cannot be read.
        File::open(path).map_err(|e| Error::Checkpoint(format!("{}: {e}", path.display())))?;
        // SAFETY: the mapping lives while the model is loaded, and nobody writes to a checkpoint in that time: hub files
        // are never changed in place, and a folder that is written to while it is loaded is broken one way or another.
        let file = unsafe { MmapedSafetensors::new(path) }.map_err(|e| {
            let cause = e.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            Error::Checkpoint(format!(
                "{}: truncated, or not a safetensors file ({cause}); delete it and fetch it again",
                path.display()
            ))
        })?;
        let bare = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
        let names = file.tensors().into_iter().map(|(name, _)| (bare(&name), name)).collect();
        Ok(Self { path: path.to_owned(), file, names, taken: HashSet::new() })
    }

    /// The tensor `name`, which must have this shape, as f32.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is missing, has another shape or is not of floats.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let stored = self.names.get(name).ok_or_else(|| {
            self.wrong(format!("the tensor {name} is missing; config.json and the weights belong to different models"))
        })?;
        let tensor = self.file.load(stored, &Device::Cpu).map_err(|e| self.wrong(format!("the tensor {name}: {e}")))?;
        if tensor.dims() != shape {
            return Err(self.wrong(format!(
                "the tensor {name} is {:?}, but config.json asks for {shape:?}; the two files belong to different models",
                tensor.dims()
            )));
        }
        if !tensor.dtype().is_float() {
            return Err(self.wrong(format!("the tensor {name} is of {:?}, not of f32, f16 or bf16", tensor.dtype())));
        }
        self.taken.insert(name.to_owned());
        tensor.to_dtype(DType::F32).map_err(|e| self.wrong(format!("the tensor {name}: {e}")))
    }

    /// Checks that no encoder layer was left over, as it is when `config.json` names fewer than the file has.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the name of a tensor that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let left = |name: &&String| name.starts_with("transformer.layer.") && !self.taken.contains(*name);
        match self.names.keys().filter(left).min() {
            Some(name) => Err(self.wrong(format!(
                "the tensor {name} belongs to a layer that config.json does not have; the two files belong to different models"
            ))),
            None => Ok(()),
        }
    }

    fn wrong(&self, what: String) -> Error {
        Error::Checkpoint(format!("{}: {what}", self.path.display()))
    }
}
