//! A forward's linear layers: products, and what comes behind them.

use super::super::functions::{
    AddNorm, BiasActivation, EightBits, Element, QuantizeRows, ScaledAddNorm, ScaledBiasActivation, Sums,
};
use super::super::products::{After, Kind, Operands, Shape, padded};
use super::super::record::Step;
use super::super::trouble::Trouble;
use super::Arithmetic;
use super::forward::Forward;
use super::layout::{Layout, Residual, Rows};
use super::weights::{DeviceWeights, Linear};
use crate::{Activation, EncoderShape};

impl Forward<'_> {
    /// `f(x · Wᵀ + b)`
    ///
    /// # Safety
    /// That of [`Forward::run`], here as below.
    ///
    /// # Errors
    /// As there.
    pub unsafe fn dense(&mut self, layer: &Linear, rows: Rows, activation: Activation) -> Result<(), Trouble> {
        if let Some(kind) = layer.kind.eight_bits() {
            // SAFETY: the caller's.
            unsafe {
                let sums = self.sums(layer, kind, rows)?;
                let scaled = ScaledBiasActivation {
                    element: self.arithmetic.element,
                    sums,
                    bias: layer.bias,
                    out: rows.to,
                    rows: rows.count,
                    width: layer.out,
                    activation,
                };
                return self
                    .on
                    .has(Step::Activation, self.on.functions.scaled_bias_activation(self.on.stream, &scaled));
            }
        }
        let after = after(layer, activation);
        let element = element_of(layer, self.arithmetic);
        // SAFETY: the caller's.
        unsafe {
            self.product(layer, rows, after)?;
            if after == After::Nothing {
                let (rows, y) = (rows.count, rows.to);
                let bias = BiasActivation { element, y, bias: layer.bias, rows, width: layer.out, activation };
                self.on.has(Step::Activation, self.on.functions.bias_activation(self.on.stream, &bias))?;
            }
        }
        Ok(())
    }

    /// `LayerNorm(x · Wᵀ + b + residual)`
    ///
    /// # Safety
    /// As for [`Forward::dense`].
    ///
    /// # Errors
    /// As there.
    pub unsafe fn dense_norm(&mut self, layer: &Linear, rows: Rows, residual: Residual) -> Result<(), Trouble> {
        if let Some(kind) = layer.kind.eight_bits() {
            // SAFETY: the caller's.
            unsafe {
                let sums = self.sums(layer, kind, rows)?;
                let scaled = ScaledAddNorm {
                    element: self.arithmetic.element,
                    sums,
                    bias: layer.bias,
                    residual: residual.residual,
                    affine: residual.norm,
                    out: rows.to,
                    rows: rows.count,
                    width: layer.out,
                    epsilon: self.shape.epsilon,
                };
                return self.on.has(Step::Norm, self.on.functions.scaled_add_norm(self.on.stream, &scaled));
            }
        }
        let after = after(layer, Activation::None);
        let norm = AddNorm {
            element: self.arithmetic.element,
            x: rows.to,
            residual: residual.residual,
            bias: (after == After::Nothing).then_some(layer.bias),
            affine: residual.norm,
            rows: rows.count,
            width: layer.out,
            epsilon: self.shape.epsilon,
        };
        // SAFETY: the caller's.
        unsafe {
            self.product(layer, rows, after)?;
            self.on.has(Step::Norm, self.on.functions.add_norm(self.on.stream, &norm))
        }
    }

    /// What a product of 8 bits leaves, of rows that are brought into 8 bits before it.
    unsafe fn sums(&mut self, layer: &Linear, kind: EightBits, rows: Rows) -> Result<Sums, Trouble> {
        let at = self.at;
        let quantize = QuantizeRows {
            element: self.arithmetic.element,
            into: kind,
            x: rows.from,
            q: at.eight_bits,
            scales: at.scales,
            rows: rows.count,
            width: layer.inner,
        };
        // SAFETY: the caller's.
        unsafe {
            self.on.has(Step::Quantize, self.on.functions.quantize_rows(self.on.stream, &quantize))?;
            self.product(layer, Rows { from: at.eight_bits, to: at.sums, count: rows.count }, After::Nothing)?;
        }
        Ok(Sums { of: kind, sums: at.sums, row_scales: at.scales, column_scales: layer.scales })
    }

    unsafe fn product(&mut self, layer: &Linear, rows: Rows, after: After) -> Result<(), Trouble> {
        let (shape, operands) = product(layer, rows, after);
        // SAFETY: the caller's; the layout has room for the rows that are computed for these.
        unsafe { self.on.products.run(shape, operands) }?;
        self.on.has(Step::Product, Ok(()))
    }
}

const fn product(layer: &Linear, rows: Rows, after: After) -> (Shape, Operands) {
    let Linear { kind, out, inner, weight, bias, .. } = *layer;
    let shape = Shape { kind, out, inner, rows: padded(rows.count), after };
    (shape, Operands { weight, bias, x: rows.from, y: rows.to })
}

/// How much of what follows its product a layer's product does itself. Its GELU is the tanh form: in f16 and bf16 that changes
/// no more labels than the types themselves, in f32 it would be another function.
const fn after(layer: &Linear, activation: Activation) -> After {
    if !layer.takes_bias {
        return After::Nothing;
    }
    match activation {
        Activation::None => After::Bias,
        Activation::Relu => After::BiasRelu,
        Activation::GeluTanh => After::BiasGelu,
        Activation::Gelu if !matches!(layer.kind, Kind::F32) => After::BiasGelu,
        Activation::Gelu | Activation::Silu => After::Nothing,
    }
}

/// What a layer's outputs are: the head's are f32.
const fn element_of(layer: &Linear, arithmetic: Arithmetic) -> Element {
    if matches!(layer.kind, Kind::F32) { Element::F32 } else { arithmetic.element }
}

/// The four products of a layer over so many rows, which is nearly all that a forward multiplies.
pub fn products_of_a_layer(
    shape: &EncoderShape,
    weights: &DeviceWeights,
    at: &Layout,
    rows: usize,
) -> Vec<(Shape, Operands)> {
    let Some(layer) = weights.layers.first() else { return Vec::new() };
    let (none, activation) = (Activation::None, shape.activation);
    [
        (&layer.attention, Rows { from: at.x, to: at.queries_keys_values, count: rows }, none),
        (&layer.output, Rows { from: at.context, to: at.attended, count: rows }, none),
        (&layer.widen, Rows { from: at.attended, to: at.wide, count: rows }, activation),
        (&layer.narrow, Rows { from: at.wide, to: at.x, count: rows }, none),
    ]
    .map(|(layer, rows, activation)| match layer.kind.eight_bits() {
        None => product(layer, rows, after(layer, activation)),
        Some(_) => product(layer, Rows { from: at.eight_bits, to: at.sums, ..rows }, After::Nothing),
    })
    .to_vec()
}
