//! Where the values of a forward lie in the arena.

use super::super::functions::EightBits;
use super::super::memory::Cursor;
use super::super::products::padded;
use super::Arithmetic;
use crate::EncoderShape;

/// How much a forward has to do.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    pub tokens: usize,
    pub sequences: usize,
    /// Tokens of the longest.
    pub longest: usize,
}

impl Batch {
    /// Of sequences of these lengths.
    pub fn of(lengths: &[u32]) -> Self {
        let longest = lengths.iter().max().map_or(0, |longest| *longest as usize);
        Self { tokens: lengths.iter().map(|length| *length as usize).sum(), sequences: lengths.len(), longest }
    }
}

/// A matrix that a layer reads, and one that it writes, of so many rows.
#[derive(Clone, Copy)]
pub struct Rows {
    pub from: u64,
    pub to: u64,
    pub count: usize,
}

/// What a residual LayerNorm needs besides its input.
#[derive(Clone, Copy)]
pub struct Residual {
    pub residual: u64,
    pub norm: u64,
}

/// Addresses of a forward's values. What is used one after the other lies in one place; every matrix has room for as many rows
/// as its product computes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// `[tokens]`, u32: the upload, with
    pub ids: u64,
    /// `[sequences]`, u32, right behind them.
    pub lengths: u64,
    /// `[sequences + 1]`, u32
    pub starts: u64,
    /// `[tokens]`, u32
    pub positions: u64,
    /// `[tokens, hidden]`: what a layer reads and, in the end, gives.
    pub x: u64,
    /// `[tokens, hidden]`: what attention gives.
    pub attended: u64,
    /// `[tokens, 3 · hidden]`: queries, keys and values; of the last layer keys and values.
    pub queries_keys_values: u64,
    /// `[tokens, hidden]`
    pub context: u64,
    /// `[tokens, wide]`, where queries, keys, values and context were.
    pub wide: u64,
    /// `[sequences, hidden]`: what the last layer asks with.
    pub first: u64,
    /// `[sequences, hidden]`: its queries.
    pub first_queries: u64,
    /// `[sequences, hidden]`, f32: what the head reads.
    pub head: u64,
    /// `[sequences, hidden]`, f32: between its layers.
    pub head_inner: u64,
    /// `[sequences, labels]`, f32
    pub logits: u64,
    /// Where products are of 8 bits: their input `[tokens, the wider of hidden and wide]`, a byte each,
    pub eight_bits: u64,
    /// its scales `[tokens]`, f32,
    pub scales: u64,
    /// and their sums `[tokens, the wider of 3 · hidden and wide]`.
    pub sums: u64,
    end: u64,
    base: u64,
}

impl Layout {
    /// From `base` on.
    pub fn new(base: u64, shape: &EncoderShape, arithmetic: Arithmetic, batch: &Batch) -> Self {
        let (tokens, sequences) = (padded(batch.tokens), padded(batch.sequences));
        let row = shape.hidden * arithmetic.element.bytes();
        let word = size_of::<u32>();
        let mut cursor = Cursor(base);
        let ids = cursor.take((batch.tokens + batch.sequences) * word);
        let starts = cursor.take((batch.sequences + 1) * word);
        let positions = cursor.take(batch.tokens * word);
        let x = cursor.take(tokens * row);
        let attended = cursor.take(tokens * row);
        let first = cursor.take(sequences * row);
        let first_queries = cursor.take(sequences * row);
        let head = cursor.take(sequences * shape.hidden * word);
        let head_inner = cursor.take(sequences * shape.hidden * word);
        let logits = cursor.take(sequences * shape.labels * word);
        let (input, sums) = match arithmetic.kind.eight_bits() {
            None => (0, 0),
            Some(EightBits::Int8) => (1, size_of::<i32>()),
            Some(EightBits::E4m3) => (1, size_of::<u16>()),
        };
        let eight_bits = cursor.take(tokens * input * shape.hidden.max(shape.wide));
        let scales = cursor.take(tokens * input * word);
        let sums = cursor.take(tokens * sums * shape.wide.max(3 * shape.hidden));
        let mut wide = cursor;
        let queries_keys_values = cursor.take(tokens * 3 * row);
        let context = cursor.take(tokens * row);
        let wide_at = wide.take(tokens * shape.wide * arithmetic.element.bytes());
        Self {
            ids,
            lengths: ids + (batch.tokens * word) as u64,
            starts,
            positions,
            x,
            attended,
            queries_keys_values,
            context,
            wide: wide_at,
            first,
            first_queries,
            head,
            head_inner,
            logits,
            eight_bits,
            scales,
            sums,
            end: cursor.0.max(wide.0),
            base,
        }
    }

    /// Bytes of all of it.
    pub const fn bytes(&self) -> usize {
        (self.end - self.base) as usize
    }
}
