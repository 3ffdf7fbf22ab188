//! The face of `cuda/` in a build without the feature: types that nobody can make, so that no code behind them can run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use self::{NoDownload as Download, NoEncoder as GpuEncoder, NoGpu as Gpu};
use super::{
    Affine, EmbeddingWeights, EncoderShape, Fault, GpuCounters, GpuFacts, KernelTime, LayerWeights, Precision,
};

/// Whether this build knows GPUs.
pub const AVAILABLE: bool = false;

/// A GPU that is open: there is none.
pub enum NoGpu {}

/// A copy from a GPU on its way: there is none.
pub enum NoDownload {}

/// An encoder whose weights lie on a GPU: there is none.
pub enum NoEncoder {}

impl NoGpu {
    /// # Errors
    /// Always: [`Fault::Unavailable`].
    pub fn get(_index: usize, _folder: Option<&Path>) -> Result<Arc<Self>, Fault> {
        Err(Fault::Unavailable(
            "this build of textflight has no CUDA support (cargo build --features cuda makes one that has)".to_owned(),
        ))
    }

    /// Never called, as all below.
    pub const fn name(&self) -> String {
        match *self {}
    }

    /// Never called.
    pub const fn card(&self) -> String {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn capability(&self) -> Result<(i32, i32), Fault> {
        match *self {}
    }

    /// Never called.
    pub const fn facts(&self) -> GpuFacts {
        match *self {}
    }

    /// Never called.
    pub const fn counters(&self) -> GpuCounters {
        match *self {}
    }

    /// Never called.
    pub const fn timings(&self, _on: bool) -> Vec<KernelTime> {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn product_rate(&self, _size: usize, _precision: Precision, _duration: Duration) -> Result<f64, Fault> {
        match *self {}
    }
}

impl NoDownload {
    /// # Errors
    /// Never called.
    pub const fn finish(self) -> Result<Vec<f32>, Fault> {
        match self {}
    }
}

impl NoEncoder {
    /// # Errors
    /// Never called.
    pub fn new<E: From<Fault>>(
        gpu: &Arc<NoGpu>,
        _shape: EncoderShape,
        _precision: Precision,
        _embeddings: EmbeddingWeights,
        _layers: impl Iterator<Item = Result<LayerWeights, E>>,
        _head: impl FnOnce() -> Result<[Affine; 2], E>,
    ) -> Result<Self, E> {
        match **gpu {}
    }

    /// # Errors
    /// Never called.
    pub const fn forward(&self, _sequences: &[&[u32]]) -> Result<NoDownload, Fault> {
        match *self {}
    }
}
