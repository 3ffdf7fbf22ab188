//! What a forward puts into the stream.

use std::sync::Arc;

use cudarc::driver::sys::CUstream;
use cudarc::driver::{CudaContext, DriverError};

use super::super::functions::{Attention, Element, EmbedNorm, FirstRows, Functions, Spans, Widen};
use super::super::products::Products;
use super::super::record::{Record, Step};
use super::super::trouble::Trouble;
use super::Arithmetic;
use super::layout::{Batch, Layout, Residual, Rows};
use super::weights::{DeviceWeights, Layer};
use crate::{Activation, EncoderShape};

/// One forward.
pub struct Forward<'a> {
    pub on: Device<'a>,
    pub shape: &'a EncoderShape,
    pub arithmetic: Arithmetic,
    pub weights: &'a DeviceWeights,
    pub batch: &'a Batch,
    pub at: &'a Layout,
}

/// Where it is put, and what is taken note of it.
pub struct Device<'a> {
    pub functions: &'a Functions,
    pub context: &'a Arc<CudaContext>,
    pub stream: CUstream,
    pub products: &'a mut Products,
    pub record: &'a mut Record,
}

impl Device<'_> {
    /// Takes note of what was put into it.
    ///
    /// # Errors
    /// What the driver said.
    pub fn has(&mut self, step: Step, done: Result<(), DriverError>) -> Result<(), Trouble> {
        done?;
        Ok(self.record.step(step, self.context, self.stream)?)
    }
}

/// Each of these is safe where [`Forward::run`] is.
impl Forward<'_> {
    /// Puts all of it into the stream.
    ///
    /// # Safety
    /// The layout is of this batch and shape, the weights are of this shape, ids and lengths are in the stream and within
    /// their bounds, and the context is this thread's.
    ///
    /// # Errors
    /// The driver's or the library's. The forward is then not whole.
    pub unsafe fn run(&mut self) -> Result<(), Trouble> {
        if self.batch.sequences == 0 {
            return Ok(());
        }
        let weights = self.weights;
        // SAFETY: the caller's, for all that follows in this file.
        unsafe {
            self.embed()?;
            let Some((last, layers)) = weights.layers.split_last() else { return Ok(()) };
            for layer in layers {
                self.layer(layer)?;
            }
            self.last_layer(last)?;
            self.head()
        }
    }

    unsafe fn embed(&mut self) -> Result<(), Trouble> {
        let (at, batch, weights) = (self.at, self.batch, self.weights);
        let spans =
            Spans { lengths: at.lengths, sequences: batch.sequences, starts: at.starts, positions: at.positions };
        let embed = EmbedNorm {
            element: self.arithmetic.element,
            ids: at.ids,
            positions: at.positions,
            words: weights.words,
            table: weights.positions,
            affine: weights.norm,
            out: at.x,
            tokens: batch.tokens,
            width: self.shape.hidden,
            epsilon: self.shape.epsilon,
        };
        // SAFETY: the caller's.
        unsafe {
            self.on.has(Step::Embed, self.on.functions.spans(self.on.stream, &spans))?;
            self.on.has(Step::Embed, self.on.functions.embed_norm(self.on.stream, &embed))
        }
    }

    unsafe fn layer(&mut self, layer: &Layer) -> Result<(), Trouble> {
        let (at, tokens, hidden) = (self.at, self.batch.tokens, self.shape.hidden);
        let all = at.queries_keys_values;
        let column = (hidden * self.arithmetic.element.bytes()) as u64;
        let attention = Attention {
            query: all,
            key: all + column,
            value: all + 2 * column,
            query_starts: Some(at.starts),
            query_stride: 3 * hidden,
            key_stride: 3 * hidden,
            longest_query: self.batch.longest,
            ..self.attention()
        };
        // SAFETY: the caller's.
        unsafe {
            self.dense(&layer.attention, Rows { from: at.x, to: all, count: tokens }, Activation::None)?;
            self.on.has(Step::Attention, self.on.functions.attention(self.on.stream, &attention))?;
            self.blocks(layer, at.x, at.attended, at.x, tokens)
        }
    }

    /// The last layer: the head reads the first token alone, so it computes no other.
    unsafe fn last_layer(&mut self, layer: &Layer) -> Result<(), Trouble> {
        let (at, hidden, element) = (self.at, self.shape.hidden, self.arithmetic.element);
        let (tokens, sequences) = (self.batch.tokens, self.batch.sequences);
        let query = layer.attention.outputs(0, hidden, element);
        let key_value = layer.attention.outputs(hidden, 2 * hidden, element);
        let first = FirstRows { element, x: at.x, starts: at.starts, out: at.first, sequences, width: hidden };
        let attention = Attention {
            query: at.first_queries,
            key: at.queries_keys_values,
            value: at.queries_keys_values + (hidden * element.bytes()) as u64,
            query_starts: None,
            query_stride: hidden,
            key_stride: 2 * hidden,
            longest_query: 1,
            ..self.attention()
        };
        // SAFETY: the caller's.
        unsafe {
            self.on.has(Step::Rows, self.on.functions.first_rows(self.on.stream, &first))?;
            self.dense(&query, Rows { from: at.first, to: at.first_queries, count: sequences }, Activation::None)?;
            self.dense(&key_value, Rows { from: at.x, to: at.queries_keys_values, count: tokens }, Activation::None)?;
            self.on.has(Step::Attention, self.on.functions.attention(self.on.stream, &attention))?;
            self.blocks(layer, at.first, at.attended, at.x, sequences)
        }
    }

    /// What follows attention: the output product and the feed-forward block, each with its residual and LayerNorm.
    unsafe fn blocks(&mut self, layer: &Layer, x: u64, attended: u64, out: u64, rows: usize) -> Result<(), Trouble> {
        let at = self.at;
        let after_attention = Residual { residual: x, norm: layer.attention_norm };
        let after_all = Residual { residual: attended, norm: layer.output_norm };
        let activation = self.shape.activation;
        // SAFETY: the caller's.
        unsafe {
            self.dense_norm(&layer.output, Rows { from: at.context, to: attended, count: rows }, after_attention)?;
            self.dense(&layer.widen, Rows { from: attended, to: at.wide, count: rows }, activation)?;
            self.dense_norm(&layer.narrow, Rows { from: at.wide, to: out, count: rows }, after_all)
        }
    }

    /// Logits of the last layer's outputs, in f32.
    unsafe fn head(&mut self) -> Result<(), Trouble> {
        let (at, rows) = (self.at, self.batch.sequences);
        let Some([inner, outer]) = self.weights.head else { return Ok(()) };
        let element = self.arithmetic.element;
        let from = if element == Element::F32 { at.x } else { at.head };
        // SAFETY: the caller's.
        unsafe {
            if element != Element::F32 {
                let widen = Widen { element, x: at.x, out: from, count: rows * self.shape.hidden };
                self.on.has(Step::Rows, self.on.functions.widen(self.on.stream, &widen))?;
            }
            self.dense(&inner, Rows { from, to: at.head_inner, count: rows }, self.shape.head_activation)?;
            self.dense(&outer, Rows { from: at.head_inner, to: at.logits, count: rows }, Activation::None)
        }
    }

    /// What all layers' attention has in common.
    const fn attention(&self) -> Attention {
        Attention {
            element: self.arithmetic.element,
            query: 0,
            key: 0,
            value: 0,
            context: self.at.context,
            query_starts: None,
            key_starts: self.at.starts,
            sequences: self.batch.sequences,
            heads: self.shape.heads,
            head_width: self.shape.hidden / self.shape.heads,
            query_stride: 0,
            key_stride: 0,
            longest_query: 0,
            longest_key: self.batch.longest,
        }
    }
}
