//! Weights in the memory of a device, laid out once.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use cudarc::driver::CudaStream;

use super::super::functions::Element;
use super::super::memory::{Buffer, Cursor};
use super::super::products::{Kind, takes_bias};
use super::super::trouble::Trouble;
use super::{Arithmetic, quantized};
use crate::{Affine, EmbeddingWeights, LayerWeights};

/// A linear layer.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    pub kind: Kind,
    /// `[out, inner]`
    pub weight: u64,
    /// `[out]`
    pub bias: u64,
    /// `[out]`, f32: what weights of 8 bits are multiplied with. Of no meaning with others.
    pub scales: u64,
    pub out: usize,
    pub inner: usize,
    /// Whether its product takes the bias along.
    pub takes_bias: bool,
}

impl Linear {
    /// The layer of some of the outputs, from `first` on.
    #[must_use]
    pub const fn outputs(self, first: usize, out: usize, element: Element) -> Self {
        let weight = match self.kind.eight_bits() {
            None => first * self.inner * element.bytes(),
            Some(_) => first * self.inner,
        };
        Self {
            weight: self.weight + weight as u64,
            bias: self.bias + (first * element.bytes()) as u64,
            scales: self.scales + (first * size_of::<f32>()) as u64,
            out,
            ..self
        }
    }
}

/// A layer of the encoder. Norms are `[2, hidden]` in f32.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Queries, keys and values in one.
    pub attention: Linear,
    pub output: Linear,
    pub attention_norm: u64,
    pub widen: Linear,
    pub narrow: Linear,
    pub output_norm: u64,
}

/// All weights of an encoder.
pub struct DeviceWeights {
    stream: Arc<CudaStream>,
    arithmetic: Arithmetic,
    /// `[vocabulary, hidden]`
    pub words: u64,
    /// `[longest, hidden]`
    pub positions: u64,
    pub norm: u64,
    pub layers: Vec<Layer>,
    /// The classification head, in f32; there once all is laid out.
    pub head: Option<[Linear; 2]>,
    /// What the addresses lead into.
    memory: Vec<Buffer>,
}

impl DeviceWeights {
    /// With the embeddings.
    ///
    /// # Errors
    /// The driver's, when there is no memory for them, here as below.
    pub fn new(
        stream: &Arc<CudaStream>,
        arithmetic: Arithmetic,
        embeddings: &EmbeddingWeights,
    ) -> Result<Self, Trouble> {
        let element = arithmetic.element;
        let mut block = Block::default();
        let words = block.put(&embeddings.words, element)?;
        let positions = block.put(&embeddings.positions, element)?;
        let norm = block.norm(&embeddings.norm)?;
        let memory = Buffer::of(stream, &block.bytes)?;
        let base = memory.address();
        Ok(Self {
            stream: Arc::clone(stream),
            arithmetic,
            words: base + words,
            positions: base + positions,
            norm: base + norm,
            layers: Vec::new(),
            head: None,
            memory: vec![memory],
        })
    }

    /// Adds the next layer.
    pub fn add(&mut self, weights: &LayerWeights) -> Result<(), Trouble> {
        let mut block = Block::default();
        let (weight, bias) = weights.attention.joined(0..3)?;
        let attention = block.linear(&weight, &bias, self.arithmetic)?;
        let (weight, bias) = weights.attention.joined(3..4)?;
        let output = block.linear(&weight, &bias, self.arithmetic)?;
        let attention_norm = block.norm(&weights.attention_norm)?;
        let widen = block.linear(&weights.widen.weight, &weights.widen.bias, self.arithmetic)?;
        let narrow = block.linear(&weights.narrow.weight, &weights.narrow.bias, self.arithmetic)?;
        let output_norm = block.norm(&weights.output_norm)?;
        let base = self.keep(&block)?;
        self.layers.push(Layer {
            attention: attention.at(base),
            output: output.at(base),
            attention_norm: base + attention_norm,
            widen: widen.at(base),
            narrow: narrow.at(base),
            output_norm: base + output_norm,
        });
        Ok(())
    }

    /// Adds the head.
    pub fn finish(&mut self, head: &[Affine; 2]) -> Result<(), Trouble> {
        let in_f32 = Arithmetic { element: Element::F32, kind: Kind::F32 };
        let mut block = Block::default();
        let [inner, outer] = head.each_ref().map(|layer| block.linear(&layer.weight, &layer.bias, in_f32));
        let (inner, outer) = (inner?, outer?);
        let base = self.keep(&block)?;
        self.head = Some([inner.at(base), outer.at(base)]);
        Ok(())
    }

    fn keep(&mut self, block: &Block) -> Result<u64, Trouble> {
        let memory = Buffer::of(&self.stream, &block.bytes)?;
        let base = memory.address();
        self.memory.push(memory);
        Ok(base)
    }
}

/// A matrix in the memory of a device, as products read it.
///
/// # Errors
/// The driver's.
pub fn on_device(stream: &Arc<CudaStream>, tensor: &Tensor, arithmetic: Arithmetic) -> Result<Buffer, Trouble> {
    let mut block = Block::default();
    block.matrix(tensor, arithmetic)?;
    Ok(Buffer::of(stream, &block.bytes)?)
}

/// What goes to the device in one copy. Addresses in it count from its beginning.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    cursor: Cursor,
}

impl Block {
    fn linear(&mut self, weight: &Tensor, bias: &Tensor, arithmetic: Arithmetic) -> Result<Linear, Trouble> {
        let (out, inner) = weight.dims2()?;
        if bias.dims() != [out] {
            return Err(Trouble::Refused(format!("linear: weight {:?}, bias {:?}", weight.shape(), bias.shape())));
        }
        let (weight, scales) = self.matrix(weight, arithmetic)?;
        Ok(Linear {
            kind: arithmetic.kind,
            weight,
            scales,
            bias: self.put(bias, arithmetic.element)?,
            out,
            inner,
            takes_bias: takes_bias(arithmetic.kind, out, inner),
        })
    }

    /// A matrix, and the scales of its rows if it is of 8 bits.
    fn matrix(&mut self, matrix: &Tensor, arithmetic: Arithmetic) -> Result<(u64, u64), Trouble> {
        let Some(kind) = arithmetic.kind.eight_bits() else { return Ok((self.put(matrix, arithmetic.element)?, 0)) };
        let (mut bytes, mut scales) = (Vec::with_capacity(matrix.elem_count()), Vec::new());
        for row in matrix.to_vec2::<f32>()? {
            scales.push(quantized::push(kind, &row, &mut bytes));
        }
        let at = self.cursor.take(bytes.len());
        self.append(&bytes);
        self.bytes.resize(self.cursor.0 as usize, 0);
        let scales = Tensor::new(scales, &candle_core::Device::Cpu)?;
        Ok((at, self.put(&scales, Element::F32)?))
    }

    /// `[2, width]`, the weight above the bias.
    fn norm(&mut self, norm: &Affine) -> Result<u64, Trouble> {
        self.put(&Tensor::stack(&[&norm.weight, &norm.bias], 0)?, Element::F32)
    }

    fn put(&mut self, tensor: &Tensor, element: Element) -> Result<u64, Trouble> {
        let dtype = match element {
            Element::F32 => DType::F32,
            Element::F16 => DType::F16,
            Element::Bf16 => DType::BF16,
        };
        let tensor = tensor.to_dtype(dtype)?.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
            return Err(Trouble::Refused(format!("weights of {layout:?} are not whole on the CPU")));
        };
        let at = self.cursor.take((end - start) * element.bytes());
        match storage {
            CpuStorage::F32(values) => self.append(&values[start..end]),
            CpuStorage::F16(values) => self.append(&values[start..end]),
            CpuStorage::BF16(values) => self.append(&values[start..end]),
            _ => return Err(Trouble::Refused(format!("weights of {:?}", tensor.dtype()))),
        }
        self.bytes.resize(self.cursor.0 as usize, 0);
        Ok(at)
    }

    fn append<T: Copy>(&mut self, values: &[T]) {
        // SAFETY: numbers without gaps, as bytes.
        self.bytes.extend_from_slice(unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values))
        });
    }
}

impl Linear {
    const fn at(self, base: u64) -> Self {
        Self { weight: self.weight + base, bias: self.bias + base, scales: self.scales + base, ..self }
    }
}
