//! A linear layer on the CPU, `y = f(x · W + b)`, on one thread: the engine runs one batch a core instead.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

use super::int8::{Affine, Channels};
use super::tile::{COLUMNS, Panels, ROWS, Rows, Sums, TileKernel};
use super::{Activation, Precision, bfloat16, f32_slice, float32, int8, magnitudes, multiversion, widened};

/// A linear layer, its weights laid out for the kernels of this processor.
pub struct PackedLinear {
    inner: usize,
    out: usize,
    panels: Panels,
    product: Product,
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
}

/// A kernel with what its precision keeps of the weights.
enum Product {
    Float32(TileKernel<f32>),
    Bfloat16(TileKernel<f32>),
    Widened(TileKernel<f32>),
    Int8(TileKernel<i32>, Channels),
}

/// Rows that are made ready and then multiplied with all panels: their words stay in the second-level cache.
const BLOCK: usize = 16 * ROWS;

impl Kernel {
    /// The kernels that this processor has for a precision, the fastest first: of the family in use and those below it. It has
    /// none for f16.
    pub fn all(precision: Precision) -> Vec<Self> {
        match precision {
            Precision::Float32 => float32::kernels().into_iter().map(Self::Float32).collect(),
            Precision::Bfloat16 => {
                let mut kernels: Vec<_> = bfloat16::kernels().into_iter().map(Self::Bfloat16).collect();
                let faster = usize::from(kernels.len() > 1 && bfloat16::has_fast_dot_product());
                kernels.splice(faster..faster, widened::kernels().into_iter().map(Self::Widened));
                kernels
            }
            Precision::Int8 => int8::kernels().into_iter().map(Self::Int8).collect(),
            Precision::Float16 => Vec::new(),
        }
    }

    /// The instructions that it uses.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Float32(kernel) | Self::Bfloat16(kernel) | Self::Widened(kernel) => kernel.name(),
            Self::Int8(kernel) => kernel.name(),
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
        let Storage::Cpu(storage) = &*storage else {
            bail!("linear: the weight is not on the CPU");
        };
        let weight = f32_slice(storage, layout)?;

        let mut panels = Panels::default();
        let product = match kernel {
            Kernel::Float32(kernel) => {
                panels.reset(inner, out);
                panels.set_columns(bytemuck::cast_slice(weight), inner);
                Product::Float32(kernel)
            }
            Kernel::Bfloat16(kernel) => {
                let steps = inner.div_ceil(bfloat16::PER_WORD);
                let mut words = vec![0; out * steps];
                let rows = weight.chunks_exact(inner).zip(words.chunks_exact_mut(steps));
                rows.for_each(|(weights, words)| bfloat16::round_row(weights, words));
                panels.reset(steps, out);
                panels.set_columns(&words, steps);
                Product::Bfloat16(kernel)
            }
            Kernel::Widened(kernel) => {
                widened::pack(weight, inner, &mut panels);
                Product::Widened(kernel)
            }
            Kernel::Int8(kernel) => {
                if inner > int8::MAX_INNER {
                    bail!("int8 takes layers of at most {} inputs, this one has {inner}", int8::MAX_INNER);
                }
                let (mut channels, words) = Channels::quantize(weight, inner, reach.as_deref());
                channels.scales.resize(bias.len(), 0.0);
                channels.sums.resize(bias.len(), 0);
                panels.reset(channels.steps(), out);
                panels.set_columns(&words, channels.steps());
                Product::Int8(kernel, channels)
            }
        };
        Ok(Self { inner, out, panels, product, bias, activation: Activation::None })
    }

    /// `x [rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// When `x` is not contiguous f32 on the CPU, or has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1_no_bwd(self)
    }

    /// Inputs of the layer.
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Outputs of the layer.
    pub const fn out(&self) -> usize {
        self.out
    }

    /// `x [rows, in]` into `y [rows, out]`, all rows at once: they should fit a cache. `scratch` is memory to use again.
    pub fn multiply(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let steps = self.panels.steps();
        let x_rows = x.chunks_exact(self.inner);
        match &self.product {
            Product::Float32(kernel) => self.tiles(kernel, bytemuck::cast_slice(x), y, add_bias),
            Product::Widened(kernel) if self.inner.is_multiple_of(widened::PER_WORD) => {
                self.tiles(kernel, bytemuck::cast_slice(x), y, add_bias);
            }
            Product::Widened(kernel) => {
                let own = steps * kernel.words();
                scratch.words.resize(x_rows.len() * own, 0);
                let words = scratch.words.chunks_exact_mut(own);
                words.zip(x_rows).for_each(|(words, x)| widened::pad_row(x, bytemuck::cast_slice_mut(words)));
                self.tiles(kernel, &scratch.words, y, add_bias);
            }
            Product::Bfloat16(kernel) => {
                scratch.words.resize(x_rows.len() * steps, 0);
                let words = scratch.words.chunks_exact_mut(steps);
                words.zip(x_rows).for_each(|(words, x)| bfloat16::round_row(x, words));
                self.tiles(kernel, &scratch.words, y, add_bias);
            }
            Product::Int8(kernel, channels) => {
                let own = steps * kernel.words();
                scratch.words.resize(x_rows.len() * own, 0);
                scratch.tokens.clear();
                for (words, x) in scratch.words.chunks_exact_mut(own).zip(x_rows) {
                    let mut token = channels.quantize_row(x, &mut words[..steps], &mut scratch.smooth);
                    if own > steps {
                        magnitudes::split_signs(words, &mut token);
                    }
                    scratch.tokens.push(token);
                }
                let (scales, _) = channels.scales.as_chunks();
                let (weights, _) = channels.sums.as_chunks();
                self.tiles(kernel, &scratch.words, y, |sums, y, of| {
                    let tokens = &scratch.tokens[of.rows.clone()];
                    dequantize(sums, tokens, &scales[of.panel], &weights[of.panel], y, of);
                });
            }
        }
    }

    /// All tiles of a block of rows; `finish` makes the outputs of a tile's rows out of its sums.
    fn tiles<S: Copy + Default>(
        &self,
        kernel: &TileKernel<S>,
        words: &[u32],
        y: &mut [f32],
        finish: impl Fn(&Sums<S>, &mut [f32], Outputs<'_>),
    ) {
        let stride = self.panels.steps() * kernel.words();
        let rows = words.len() / stride;
        let mut sums = Sums::default();
        for (panel, ((lines, columns), bias)) in self.panels.iter().zip(self.bias.as_chunks().0).enumerate() {
            for row in (0..rows).step_by(ROWS) {
                let rows = row..rows.min(row + ROWS);
                let words = &words[row * stride..];
                kernel.multiply(Rows { words, stride, count: rows.len() }, lines, columns.len(), &mut sums);
                let y = &mut y[rows.start * self.out..rows.end * self.out];
                let columns = columns.clone();
                finish(&sums, y, Outputs { panel, rows, columns, bias, stride: self.out, activation: self.activation });
            }
        }
    }
}

/// What a tile's outputs are made with, and where they go.
struct Outputs<'a> {
    /// The panel's number.
    panel: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    bias: &'a [f32; COLUMNS],
    /// Outputs of a whole row.
    stride: usize,
    activation: Activation,
}

/// Memory that blocks of rows use in turn.
#[derive(Default)]
pub struct Scratch {
    words: Vec<u32>,
    tokens: Vec<Affine>,
    smooth: Vec<f32>,
}

impl CustomOp1 for PackedLinear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = layout.shape().dims2()?;
        if inner != self.inner {
            bail!("linear: {:?} into a layer of {} inputs", layout.shape(), self.inner);
        }
        let x = f32_slice(x, layout)?;
        let mut y = vec![0f32; rows * self.out];
        let mut scratch = Scratch::default();
        for (x, y) in x.chunks(BLOCK * inner).zip(y.chunks_mut(BLOCK * self.out)) {
            self.multiply(x, y, &mut scratch);
        }
        Ok((CpuStorage::F32(y), Shape::from((rows, self.out))))
    }
}

multiversion! {
    fn add_bias(sums: &Sums<f32>, y: &mut [f32], of: Outputs<'_>) {
        for (sums, y) in sums.0.iter().zip(y.chunks_exact_mut(of.stride)) {
            of.activation.fill(&mut y[of.columns.clone()], |i| sums[i] + of.bias[i]);
        }
    }
}

multiversion! {
    fn dequantize(
        sums: &Sums<i32>,
        tokens: &[Affine],
        scales: &[f32; COLUMNS],
        weights: &[i32; COLUMNS],
        y: &mut [f32],
        of: Outputs<'_>,
    ) {
        for ((sums, y), token) in sums.0.iter().zip(y.chunks_exact_mut(of.stride)).zip(tokens) {
            let value = |i| (sums[i] + token.offset - token.zero * weights[i]) as f32 * (token.scale * scales[i]) + of.bias[i];
            of.activation.fill(&mut y[of.columns.clone()], value);
        }
    }
}

#[cfg(test)]
mod tests;
