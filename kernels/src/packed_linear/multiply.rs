//! Products with packed weights, shared out among a team: rows are made ready a few at a time, then each panel of weights is
//! multiplied by all of them, so that it is read from memory once.

use std::ops::Range;

use super::{Kind, PackedLinear};
use crate::block::Block;
use crate::int8::Affine;
use crate::team::Team;
use crate::tile::{Ahead, COLUMNS, LINES, Line, ROWS, Rows, Sums, TileKernel};
use crate::{Activation, bfloat16, multiversion, widened};

/// Bytes of weights that stay in the second-level cache from one product to the next: they need not be fetched ahead.
pub(super) const STAYS: usize = 256 << 10;

/// A product to be computed, `y = f(x · W + b)`.
pub struct Product<'a> {
    /// Weights, bias and activation.
    pub layer: &'a PackedLinear,
    /// Row `i` is `x[i * stride..][..inner]`. All rows should fit a cache.
    pub x: &'a [f32],
    /// Values from one row of `x` to the next.
    pub stride: usize,
    /// `[rows, out]`
    pub y: Block<'a>,
    /// Memory to use again.
    pub scratch: &'a mut Scratch,
}

/// Memory that blocks of rows use in turn.
#[derive(Default)]
pub struct Scratch {
    words: Vec<u32>,
    tokens: Vec<Affine>,
    /// For each [`ROWS`] rows a row of inputs that are multiplied by their factors.
    smooth: Vec<f32>,
}

impl<'a> Product<'a> {
    /// `x [rows, in]` into `y [rows, out]`.
    pub fn new(layer: &'a PackedLinear, x: &'a [f32], y: &'a mut [f32], scratch: &'a mut Scratch) -> Self {
        Self { layer, x, stride: layer.inner, y: Block::new(y, layer.out), scratch }
    }
}

/// The first so many of what blocks use in turn: it is made once, for the largest.
pub fn room<T: Clone + Default>(memory: &mut Vec<T>, count: usize) -> &mut [T] {
    if memory.len() < count {
        memory.resize(count, T::default());
    }
    &mut memory[..count]
}

/// Computes products that need nothing of each other.
pub fn multiply<'a>(team: &Team, products: impl IntoIterator<Item = Product<'a>>) {
    let mut products: Vec<_> = products.into_iter().collect();
    let mut unready: Vec<_> = products.iter_mut().flat_map(Product::unready).collect();
    team.each(&mut unready, UnreadyRows::make_ready);
    drop(unready);
    let count = products.iter().map(|product| product.y.columns().div_ceil(COLUMNS)).sum();
    let mut panels: Vec<PanelProduct<'_>> = Vec::with_capacity(count);
    for product in products {
        panels.extend(product.panels());
    }
    // Where all are equally fast, a thread takes the panel next that is so many further on.
    let threads = team.threads();
    for index in threads..count {
        if panels[index].layer.panels.bytes() > STAYS {
            panels[index - threads].next = panels[index].lines();
        }
    }
    team.each(&mut panels, PanelProduct::compute);
}

impl PackedLinear {
    /// Whether the kernel reads f32 rows where they are.
    const fn reads_rows_as_they_are(&self) -> bool {
        match self.kind {
            Kind::Float32(_) => true,
            Kind::Widened(_) => self.inner.is_multiple_of(widened::PER_WORD),
            Kind::Bfloat16(_) | Kind::Int8(..) => false,
        }
    }

    /// Words of a row that was made ready.
    const fn words_of_row(&self) -> usize {
        let of_step = match &self.kind {
            Kind::Float32(kernel) | Kind::Bfloat16(kernel) | Kind::Widened(kernel) => kernel.words(),
            Kind::Int8(kernel, _) => kernel.words(),
        };
        self.panels.steps() * of_step
    }
}

impl<'a> Product<'a> {
    /// Rows as the kernel does not read them, and where they go.
    fn unready(&mut self) -> impl Iterator<Item = UnreadyRows<'_>> {
        let rows = if self.layer.reads_rows_as_they_are() { 0 } else { self.y.rows() };
        let own = self.layer.words_of_row();
        let (layer, x, stride) = (self.layer, self.x, self.stride);
        let words = room(&mut self.scratch.words, rows * own).chunks_mut(ROWS * own);
        let tokens = room(&mut self.scratch.tokens, rows).chunks_mut(ROWS);
        let smooth = room(&mut self.scratch.smooth, rows.div_ceil(ROWS) * layer.inner).chunks_exact_mut(layer.inner);
        let pieces = words.zip(tokens).zip(smooth).zip((0..).step_by(ROWS * stride));
        pieces.map(move |(((words, tokens), smooth), first)| {
            let x = &x[first..];
            UnreadyRows { layer, x, stride, words, tokens, smooth }
        })
    }

    fn panels(self) -> impl Iterator<Item = PanelProduct<'a>> {
        let Self { layer, x, stride, y, scratch } = self;
        let scratch: &Scratch = scratch;
        let (words, stride) = if layer.reads_rows_as_they_are() {
            (bytemuck::cast_slice(x), stride)
        } else {
            (&scratch.words[..], layer.words_of_row())
        };
        let tokens = &scratch.tokens[..];
        let panels = y.split_columns(COLUMNS).enumerate();
        panels.map(move |(panel, y)| PanelProduct { layer, words, stride, tokens, panel, next: &[], y })
    }
}

/// Rows to be rounded or quantized.
struct UnreadyRows<'a> {
    layer: &'a PackedLinear,
    x: &'a [f32],
    stride: usize,
    words: &'a mut [u32],
    tokens: &'a mut [Affine],
    smooth: &'a mut [f32],
}

impl UnreadyRows<'_> {
    fn make_ready(&mut self) {
        let x = self.x.chunks(self.stride).map(|x| &x[..self.layer.inner]);
        let rows = x.zip(self.words.chunks_exact_mut(self.layer.words_of_row()).zip(self.tokens.iter_mut()));
        match &self.layer.kind {
            Kind::Float32(_) => {}
            Kind::Bfloat16(_) => rows.for_each(|(x, (words, _))| bfloat16::round_row(x, words)),
            Kind::Widened(_) => rows.for_each(|(x, (words, _))| widened::pad_row(x, bytemuck::cast_slice_mut(words))),
            Kind::Int8(_, channels) => {
                for (x, (words, token)) in rows {
                    *token = channels.quantize_row(x, words, self.smooth);
                }
            }
        }
    }
}

/// The product of all rows with one panel.
struct PanelProduct<'a> {
    layer: &'a PackedLinear,
    words: &'a [u32],
    stride: usize,
    tokens: &'a [Affine],
    panel: usize,
    /// The panel that the same thread is likely to take next, where it is worth fetching.
    next: &'a [Line],
    y: Block<'a>,
}

impl<'a> PanelProduct<'a> {
    fn lines(&self) -> &'a [Line] {
        self.layer.panels.panel(self.panel).0
    }

    fn compute(&mut self) {
        let Self { layer, tokens, panel, .. } = *self;
        let (lines, columns) = layer.panels.panel(panel);
        let of = Outputs { bias: &layer.bias.as_chunks().0[panel], activation: layer.activation };
        match &layer.kind {
            Kind::Float32(kernel) | Kind::Bfloat16(kernel) | Kind::Widened(kernel) => {
                self.tiles(kernel, lines, columns, |sums, y, rows| add_bias(sums, y, rows, of));
            }
            Kind::Int8(kernel, channels) => {
                let channel = Channel {
                    scales: &channels.scales.as_chunks().0[panel],
                    weights: &channels.sums.as_chunks().0[panel],
                };
                self.tiles(kernel, lines, columns, |sums, y, rows| dequantize(sums, y, rows, tokens, channel, of));
            }
        }
    }

    /// `finish` makes the outputs of a tile's rows out of its sums.
    fn tiles<S: Copy + Default>(
        &mut self,
        kernel: &TileKernel<S>,
        lines: &[Line],
        columns: usize,
        finish: impl Fn(&Sums<S>, &mut Block<'_>, Range<usize>),
    ) {
        let mut sums = Sums::default();
        let whole = self.y.rows() / ROWS;
        let per_step = LINES.div_ceil(whole.max(1));
        // In the last of the whole tiles, since what is ahead takes the cache of what is done with.
        let first = whole.saturating_sub(LINES.div_ceil(per_step)) * ROWS;
        let mut ahead = self.next.chunks_exact((per_step * self.layer.panels.steps()).max(1));
        for row in (0..self.y.rows()).step_by(ROWS) {
            let rows = row..self.y.rows().min(row + ROWS);
            let words = &self.words[row * self.stride..];
            let tile = Rows { words, stride: self.stride, count: rows.len() };
            let ahead = if row < first { None } else { ahead.next().map(|lines| Ahead { lines, per_step }) };
            kernel.multiply(tile, lines, columns, ahead.as_ref(), &mut sums);
            finish(&sums, &mut self.y, rows);
        }
    }
}

/// What a panel's outputs are made with.
#[derive(Clone, Copy)]
struct Outputs<'a> {
    bias: &'a [f32; COLUMNS],
    activation: Activation,
}

/// What the integers of a panel stand for.
#[derive(Clone, Copy)]
struct Channel<'a> {
    scales: &'a [f32; COLUMNS],
    /// The sum of each output's weights.
    weights: &'a [i32; COLUMNS],
}

multiversion! {
    fn add_bias(sums: &Sums<f32>, y: &mut Block<'_>, rows: Range<usize>, of: Outputs<'_>) {
        of.activation.fill(y, rows, |n| {
            let (sums, bias) = (&sums.0[n], of.bias);
            move |i| sums[i] + bias[i]
        });
    }
}

multiversion! {
    fn dequantize(
        sums: &Sums<i32>,
        y: &mut Block<'_>,
        rows: Range<usize>,
        tokens: &[Affine],
        channel: Channel<'_>,
        of: Outputs<'_>,
    ) {
        let tokens = &tokens[rows.clone()];
        of.activation.fill(y, rows, |n| {
            let (sums, token) = (&sums.0[n], tokens[n]);
            let (Channel { scales, weights }, bias) = (channel, of.bias);
            move |i| (sums[i] - token.zero * weights[i]) as f32 * (token.scale * scales[i]) + bias[i]
        });
    }
}
