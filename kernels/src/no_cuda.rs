//! The face of `cuda/` in a build without the feature: types that nobody can make, so that no code behind them can run.

use std::path::Path;
use std::sync::{Arc, MutexGuard};

use candle_core::{CudaStorage, DType, Device, Error, Layout, Result, Shape, Tensor};

pub use self::{NoAttention as GpuAttention, NoDownload as Download, NoGpu as Gpu, NoLinear as GpuLinear};
use super::{Activation, AttentionWeights, Fault, GpuFacts, LayerNorm, Ragged};

/// Whether this build knows GPUs.
pub const AVAILABLE: bool = false;

/// A GPU that is open: there is none.
pub enum NoGpu {}

/// A copy from a GPU on its way: there is none.
pub enum NoDownload {}

/// A linear layer whose weights lie on a GPU: there is none.
pub enum NoLinear {}

/// The attention of a layer on a GPU: there is none.
pub enum NoAttention {}

impl NoGpu {
    /// # Errors
    /// Always: [`Fault::Unavailable`].
    pub fn get(_index: usize, _folder: Option<&Path>) -> std::result::Result<Arc<Self>, Fault> {
        Err(Fault::Unavailable(
            "this build of textflight has no CUDA support (cargo build --features cuda makes one that has)".to_owned(),
        ))
    }

    /// Never called, as all below.
    pub const fn index(&self) -> usize {
        match *self {}
    }

    /// Never called.
    pub const fn device(&self) -> &Device {
        match *self {}
    }

    /// Never called.
    pub const fn card(&self) -> String {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn capability(&self) -> std::result::Result<(i32, i32), Fault> {
        match *self {}
    }

    /// Never called.
    pub const fn facts(&self) -> GpuFacts {
        match *self {}
    }

    /// Never called.
    pub const fn enter(&self) {
        match *self {}
    }

    /// Never called.
    pub const fn turn(&self) -> MutexGuard<'_, ()> {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn upload(&self, _values: &[u32]) -> Result<Tensor> {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn download(&self, _values: &Tensor) -> Result<NoDownload> {
        match *self {}
    }

    /// Never called.
    pub fn fault(&self, _error: &Error, _text: String) -> Fault {
        match *self {}
    }
}

impl NoDownload {
    /// # Errors
    /// Never called.
    pub const fn finish(self) -> Result<Vec<f32>> {
        match self {}
    }
}

impl NoLinear {
    /// # Errors
    /// Never called.
    pub const fn new(_weight: &Tensor, _bias: &Tensor, _dtype: DType, gpu: &NoGpu) -> Result<Self> {
        match *gpu {}
    }

    /// Never called.
    pub const fn set_activation(&mut self, _activation: Activation) {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn forward(&self, _x: &Tensor) -> Result<Tensor> {
        match *self {}
    }
}

impl NoAttention {
    /// # Errors
    /// Never called.
    pub fn new(
        _weights: &AttentionWeights,
        _norm: LayerNorm,
        _heads: usize,
        _dtype: DType,
        gpu: &Arc<NoGpu>,
    ) -> Result<Self> {
        match **gpu {}
    }

    /// # Errors
    /// Never called.
    pub const fn forward(&self, _x: &Tensor, _sequences: &Ragged) -> Result<Tensor> {
        match *self {}
    }

    /// # Errors
    /// Never called.
    pub const fn forward_rows(&self, _asking: &Tensor, _x: &Tensor, _sequences: &Ragged) -> Result<Tensor> {
        match *self {}
    }
}

/// # Errors
/// Always: no tensor lies on a GPU, and so none is asked for.
pub fn add_layer_norm(
    _x: &mut CudaStorage,
    _x_layout: &Layout,
    _residual: &CudaStorage,
    _residual_layout: &Layout,
    _affine: &CudaStorage,
    _affine_layout: &Layout,
    _epsilon: f32,
) -> Result<()> {
    Err(Error::NotCompiledWithCudaSupport)
}

/// # Errors
/// As for [`add_layer_norm`].
pub fn select_rows(
    _table: &CudaStorage,
    _table_layout: &Layout,
    _ids: &CudaStorage,
    _ids_layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    Err(Error::NotCompiledWithCudaSupport)
}

/// # Errors
/// As for [`add_layer_norm`].
pub fn attention(
    _query: &CudaStorage,
    _query_layout: &Layout,
    _key_value: &CudaStorage,
    _key_value_layout: &Layout,
    _sequences: (&Ragged, &Ragged),
    _heads: usize,
) -> Result<(CudaStorage, Shape)> {
    Err(Error::NotCompiledWithCudaSupport)
}
