//! A linear layer on the CPU, `y = f(x · W + b)`.

mod multiply;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

pub use self::multiply::{Product, Scratch, multiply, room};
use super::channels::{Channels, WeightBound};
use super::tile::{COLUMNS, Panels, ROWS, TileKernel};
use super::{Activation, Precision, Team, bfloat16, f32_slice, float32, int8, pairs, tensor_slice, widened};

/// A linear layer, its weights laid out for the kernels of this processor.
pub struct PackedLinear {
    inner: usize,
    out: usize,
    panels: Panels,
    kind: Kind,
    /// Of whole panels: what stands beyond `out` is of no meaning.
    bias: Vec<f32>,
    activation: Activation,
}

/// What multiplies a tile, by precision.
#[derive(Clone, Copy)]
pub enum Kernel {
    /// See [`Precision::Float32`].
    Float32(TileKernel<f32>),
    /// See [`Precision::Bfloat16`].
    Bfloat16(TileKernel<f32>),
    /// The same with activations in f32.
    Widened(TileKernel<f32>),
    /// See [`Precision::Int8`].
    Int8(TileKernel<i32>),
    /// The same with weights that leave pairs room in 16 bits.
    PairedInt8(TileKernel<i32>),
}

/// A kernel with what its precision keeps of the weights.
enum Kind {
    Float32(TileKernel<f32>),
    Bfloat16(TileKernel<f32>),
    Widened(TileKernel<f32>),
    Int8(TileKernel<i32>, Channels),
}

/// Rows that are made ready and then multiplied with all panels: their words stay in the second-level cache.
const BLOCK: usize = 16 * ROWS;

impl Kernel {
    /// The kernels that this processor has for a precision, the fastest first: of the family in use and those below it. It has
    /// none for f16 and fp8.
    pub fn all(precision: Precision) -> Vec<Self> {
        match precision {
            Precision::Float32 => float32::kernels().into_iter().map(Self::Float32).collect(),
            Precision::Bfloat16 => {
                let mut kernels: Vec<_> = bfloat16::kernels().into_iter().map(Self::Bfloat16).collect();
                let faster = usize::from(kernels.len() > 1 && bfloat16::has_fast_dot_product());
                kernels.splice(faster..faster, widened::kernels().into_iter().map(Self::Widened));
                kernels
            }
            Precision::Int8 => {
                let mut kernels: Vec<_> = int8::kernels().into_iter().map(Self::Int8).collect();
                let portable = kernels.len() - 1;
                kernels.splice(portable..portable, pairs::kernels().into_iter().map(Self::PairedInt8));
                kernels
            }
            Precision::Float16 | Precision::Float8 => Vec::new(),
        }
    }

    /// The instructions that it uses.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Float32(kernel) | Self::Bfloat16(kernel) | Self::Widened(kernel) => kernel.name(),
            Self::Int8(kernel) | Self::PairedInt8(kernel) => kernel.name(),
        }
    }
}

impl PackedLinear {
    /// Lays out a layer of `weight [out, in]`, as PyTorch stores it, and `bias [out]`.
    ///
    /// `reach [in]` says, where it is known, how far from 0 each input goes: int8 makes use of it.
    ///
    /// # Errors
    /// When a tensor is not contiguous f32 on the CPU, the shapes disagree, the layer has more inputs than int8 can sum, or
    /// there is no kernel for the precision.
    pub fn new(weight: &Tensor, bias: &Tensor, reach: Option<&Tensor>, precision: Precision) -> Result<Self> {
        match Kernel::all(precision).first() {
            Some(kernel) => Self::with_kernel(weight, bias, reach, *kernel),
            None => bail!("linear: there is no kernel for {precision} on the CPU"),
        }
    }

    /// The same with an activation after it.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// [`PackedLinear::new`] with a kernel of one's choice, for tests and benches.
    ///
    /// # Errors
    /// As for [`PackedLinear::new`].
    pub fn with_kernel(weight: &Tensor, bias: &Tensor, reach: Option<&Tensor>, kernel: Kernel) -> Result<Self> {
        let (out, inner) = weight.dims2()?;
        if bias.dims() != [out] || inner == 0 || reach.is_some_and(|reach| reach.dims() != [inner]) {
            bail!("linear: weight {:?}, bias {:?}, reach {reach:?}", weight.shape(), bias.shape());
        }
        let reach = reach.map(Tensor::to_vec1::<f32>).transpose()?;
        let mut bias = bias.to_vec1()?;
        bias.resize(out.next_multiple_of(COLUMNS), 0.0);
        let (storage, layout) = weight.storage_and_layout();
        let weight = tensor_slice(&storage, layout)?;

        let mut panels = Panels::default();
        let kind = match kernel {
            Kernel::Float32(kernel) => {
                panels.reset(inner, out);
                panels.set_columns(bytemuck::cast_slice(weight), inner);
                Kind::Float32(kernel)
            }
            Kernel::Bfloat16(kernel) => {
                let steps = inner.div_ceil(bfloat16::PER_WORD);
                let mut words = vec![0; out * steps];
                let rows = weight.chunks_exact(inner).zip(words.chunks_exact_mut(steps));
                rows.for_each(|(weights, words)| bfloat16::round_row(weights, words));
                panels.reset(steps, out);
                panels.set_columns(&words, steps);
                Kind::Bfloat16(kernel)
            }
            Kernel::Widened(kernel) => {
                widened::pack(weight, inner, &mut panels);
                Kind::Widened(kernel)
            }
            Kernel::Int8(tile) | Kernel::PairedInt8(tile) => {
                if inner > int8::MAX_INNER {
                    bail!("int8 takes layers of at most {} inputs, this one has {inner}", int8::MAX_INNER);
                }
                let bound =
                    if matches!(kernel, Kernel::PairedInt8(_)) { WeightBound::Paired } else { WeightBound::Single };
                let (mut channels, words) = Channels::quantize(weight, inner, reach.as_deref(), bound);
                channels.scales.resize(bias.len(), 0.0);
                channels.sums.resize(bias.len(), 0);
                panels.reset(channels.steps(), out);
                panels.set_columns(&words, channels.steps());
                Kind::Int8(tile, channels)
            }
        };
        Ok(Self { inner, out, panels, kind, bias, activation: Activation::None })
    }

    /// `x [rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// When `x` is not contiguous f32 on the CPU, or has another width.
    pub fn forward(&self, x: &Tensor, team: &Team) -> Result<Tensor> {
        x.apply_op1_no_bwd(&Run { layer: self, team })
    }

    /// Inputs of the layer.
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Outputs of the layer.
    pub const fn out(&self) -> usize {
        self.out
    }
}

/// One pass over rows.
struct Run<'a> {
    layer: &'a PackedLinear,
    team: &'a Team,
}

impl CustomOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = layout.shape().dims2()?;
        if inner != self.layer.inner {
            bail!("linear: {:?} into a layer of {} inputs", layout.shape(), self.layer.inner);
        }
        let x = f32_slice(x, layout)?;
        let out = self.layer.out;
        let mut y = vec![0f32; rows * out];
        let mut scratch = Scratch::default();
        for (x, y) in x.chunks(BLOCK * inner).zip(y.chunks_mut(BLOCK * out)) {
            multiply(self.team, [Product::new(self.layer, x, y, &mut scratch)]);
        }
        Ok((CpuStorage::F32(y), Shape::from((rows, out))))
    }
}

#[cfg(test)]
mod tests;
