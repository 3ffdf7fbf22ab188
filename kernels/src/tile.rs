//! Register-blocked tiles of a matrix product: what the three precisions share.
//!
//! A product `x · W` is cut into tiles of [`ROWS`] rows by [`COLUMNS`] columns whose sums stay in registers while the inner
//! dimension runs by (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). Everything
//! travels in 32-bit words: one f32, two bf16 or four 8-bit integers, which one multiply-add instruction takes at once.
//! So all precisions have one layout, and an element's sum runs over the inner dimension in one order, whatever stands
//! beside it: its bits depend on its own row and column alone.

use std::ops::Range;

/// Rows of a tile: with [`COLUMNS`] they fill 24 of AVX-512's 32 registers with sums.
pub const ROWS: usize = 6;
/// Columns of a tile, and of a panel of weights.
pub const COLUMNS: usize = 64;
/// Words of a cache line.
const LANES: usize = 16;
/// Cache lines of a panel's row.
pub const LINES: usize = COLUMNS / LANES;

/// A cache line of words.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u32; LANES]);

/// The sums of one tile, `[ROWS, COLUMNS]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Sums<S>(pub [[S; COLUMNS]; ROWS]);

impl<S: Copy + Default> Default for Sums<S> {
    fn default() -> Self {
        Self([[S::default(); COLUMNS]; ROWS])
    }
}

/// Rows of the left matrix: row `i` is `words[i * stride..][..steps]`.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The matrix from its first row on.
    pub words: &'a [u32],
    /// Words from one row to the next.
    pub stride: usize,
    /// How many rows, 1 to [`ROWS`].
    pub count: usize,
}

/// Weights that are soon needed, to be brought into the second-level cache while a tile is computed.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    /// `[steps, per_step]`
    pub lines: &'a [Line],
    /// How many are fetched in a step of the tile: 1, 2 or [`LINES`], which a tile's loop has no loop for.
    pub per_step: usize,
}

#[cfg(target_arch = "x86_64")]
impl Ahead<'_> {
    /// Fetches those of a step.
    #[inline(always)]
    pub fn fetch<const PER_STEP: usize>(&self, step: usize) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let first = self.lines.as_ptr().wrapping_add(step * PER_STEP);
        for line in 0..PER_STEP {
            // SAFETY: a hint, whatever is there.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(line).cast()) };
        }
    }
}

/// A matrix as panels of [`COLUMNS`] columns, each `[steps, COLUMNS]` words; what fills the last one up is of no meaning.
#[derive(Default)]
pub struct Panels {
    lines: Vec<Line>,
    steps: usize,
    columns: usize,
}

impl Panels {
    /// Room for a matrix of `steps` words by `columns`, in the same memory; each word is to be set.
    pub fn reset(&mut self, steps: usize, columns: usize) {
        self.steps = steps;
        self.columns = columns;
        self.lines.resize(columns.div_ceil(COLUMNS) * steps * LINES, Line([0; LANES]));
    }

    /// Sets the columns, one every `stride` words of a matrix whose rows they are.
    pub fn set_columns(&mut self, words: &[u32], stride: usize) {
        for (column, words) in words.chunks(stride).enumerate().take(self.columns) {
            let (panel, column) = (column / COLUMNS, column % COLUMNS);
            let lines = self.lines[panel * self.steps * LINES..].iter_mut().skip(column / LANES).step_by(LINES);
            for (line, word) in lines.zip(&words[..self.steps]) {
                line.0[column % LANES] = *word;
            }
        }
    }

    /// Sets the rows, one every `stride` words.
    pub fn set_rows(&mut self, words: &[u32], stride: usize) {
        for (step, words) in words.chunks(stride).enumerate().take(self.steps) {
            let (whole, rest) = words[..self.columns].as_chunks::<LANES>();
            // Each panel has its part of the row at the same place.
            let mut lines =
                self.lines[step * LINES..].chunks_mut(self.steps * LINES).flat_map(|panel| &mut panel[..LINES]);
            for (words, line) in whole.iter().zip(lines.by_ref()) {
                line.0 = *words;
            }
            if let Some(line) = lines.next() {
                line.0[..rest.len()].copy_from_slice(rest);
            }
        }
    }

    /// Sets each word by its step and column, in the order in which they lie: a panel's steps one after the other. Columns go on
    /// to the end of the last panel.
    pub fn fill(&mut self, mut word: impl FnMut(usize, usize) -> u32) {
        for (panel, lines) in self.lines.chunks_mut((self.steps * LINES).max(1)).enumerate() {
            for (at, line) in lines.iter_mut().enumerate() {
                let first = panel * COLUMNS + at % LINES * LANES;
                for (column, own) in (first..).zip(&mut line.0) {
                    *own = word(at / LINES, column);
                }
            }
        }
    }

    /// Words of the inner dimension.
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// Bytes of all.
    pub const fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    /// The panels from left to right, each with its columns.
    pub fn iter(&self) -> impl Iterator<Item = (&[Line], Range<usize>)> {
        (0..self.columns).step_by(COLUMNS).enumerate().map(|(index, first)| {
            let (lines, columns) = self.panel(index);
            (lines, first..first + columns)
        })
    }

    /// A panel, and how many columns it has.
    pub fn panel(&self, index: usize) -> (&[Line], usize) {
        let lines = self.steps * LINES;
        (&self.lines[index * lines..(index + 1) * lines], COLUMNS.min(self.columns - index * COLUMNS))
    }
}

/// One way to compute a tile on this processor.
#[derive(Clone, Copy)]
pub struct TileKernel<S> {
    name: &'static str,
    words: usize,
    tile: Tile<S>,
}

/// The products of rows with the first so many columns of a panel.
type Tile<S> = unsafe fn(Rows<'_>, &[Line], usize, Option<&Ahead<'_>>, &mut Sums<S>);

impl<S> TileKernel<S> {
    /// A kernel by the name of its instructions.
    ///
    /// # Safety
    /// The processor has the instructions, and `tile` keeps to the rows, lines and sums that [`TileKernel::multiply`]
    /// proves to be there.
    pub const unsafe fn new(name: &'static str, tile: Tile<S>) -> Self {
        Self { name, words: 1, tile }
    }

    /// One that takes two words of a row in a step.
    ///
    /// # Safety
    /// As for [`TileKernel::new`].
    pub const unsafe fn wide(name: &'static str, tile: Tile<S>) -> Self {
        Self { name, words: 2, tile }
    }

    /// Words of a row that a step takes.
    pub const fn words(&self) -> usize {
        self.words
    }

    /// The instructions that it uses.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The products of the rows with the first `columns` of a panel, into the first `rows.count` rows of `sums`. What
    /// stands in `sums` beyond those is of no meaning. A whole tile fetches what is `ahead`.
    #[inline]
    pub fn multiply(
        &self,
        rows: Rows<'_>,
        panel: &[Line],
        columns: usize,
        ahead: Option<&Ahead<'_>>,
        sums: &mut Sums<S>,
    ) {
        let steps = panel.len() / LINES;
        assert!(panel.len() == steps * LINES && (1..=ROWS).contains(&rows.count));
        assert!(columns <= COLUMNS);
        assert!((rows.count - 1) * rows.stride + steps * self.words <= rows.words.len());
        assert!(ahead.is_none_or(|ahead| steps * ahead.per_step <= ahead.lines.len()), "so many lines are not ahead");
        assert!(
            ahead.is_none_or(|ahead| matches!(ahead.per_step, 1 | 2 | LINES)),
            "no kernel fetches so many lines a step"
        );
        // SAFETY: `new` was promised the instructions, and the assertions are the bounds that a tile keeps to.
        unsafe { (self.tile)(rows, panel, columns, ahead, sums) }
    }
}

/// A tile in plain Rust, for any processor: `dot` adds the product of two words to a sum.
pub fn portable<S: Copy + Default>(
    rows: Rows<'_>,
    panel: &[Line],
    columns: usize,
    sums: &mut Sums<S>,
    dot: impl Fn(S, u32, u32) -> S,
) {
    for (row, sums) in sums.0.iter_mut().take(rows.count).enumerate() {
        *sums = [S::default(); COLUMNS];
        let words = &rows.words[row * rows.stride..];
        for (x, lines) in words.iter().zip(panel.chunks_exact(LINES)) {
            for (sums, line) in sums.chunks_exact_mut(LANES).zip(lines).take(columns.div_ceil(LANES)) {
                for (sum, w) in sums.iter_mut().zip(&line.0) {
                    *sum = dot(*sum, *x, *w);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bfloat16, float32, int8, pairs};

    /// Small integers in words of either kind: every sum is exact, so that all kernels must agree to the bit. Slices end
    /// where the last word ends, for a sanitizer to see what reads beyond.
    fn agree<S: Copy + Default + PartialEq + std::fmt::Debug>(
        kernels: &[TileKernel<S>],
        word: impl Fn(usize) -> u32,
        weight: impl Fn(usize) -> u32,
    ) {
        for (steps, columns) in [(1, 1), (3, COLUMNS + 1), (2, COLUMNS), (5, 2 * COLUMNS - 1), (7, LANES)] {
            for (count, gap) in (1..=ROWS).flat_map(|count| [(count, 0), (count, 3)]) {
                let stride = steps + gap;
                let words: Box<[u32]> = (0..(count - 1) * stride + steps).map(&word).collect();
                let weight = |step, column| weight(step * 7 + column * 3 + 1);
                let [mut by_columns, mut by_rows] = [Panels::default(), Panels::default()];
                let matrix = |rows, columns, weight: &dyn Fn(usize, usize) -> u32| {
                    let row = |row| (0..columns + gap).map(move |column| weight(row, column));
                    (0..rows).flat_map(row).collect::<Vec<_>>()
                };
                by_columns.reset(steps, columns);
                by_columns.set_columns(&matrix(columns, steps, &|column, step| weight(step, column)), steps + gap);
                by_rows.reset(steps, columns);
                by_rows.set_rows(&matrix(steps, columns, &weight), columns + gap);
                let product = |kernel: &TileKernel<S>, panels: &Panels, per_step: usize| {
                    let mut sums = Sums::default();
                    let panel = |(panel, columns): (&[Line], Range<usize>)| {
                        let rows = Rows { words: &words, stride, count };
                        let ahead = (per_step > 0).then_some(Ahead { lines: panel, per_step });
                        kernel.multiply(rows, panel, columns.len(), ahead.as_ref(), &mut sums);
                        sums.0[..count].iter().flat_map(|row| &row[..columns.len()]).copied().collect::<Vec<_>>()
                    };
                    panels.iter().flat_map(panel).collect::<Vec<_>>()
                };
                let expected = product(&kernels[kernels.len() - 1], &by_columns, 0);
                for (kernel, per_step) in kernels.iter().flat_map(|kernel| [0, 1, 2, LINES].map(|n| (kernel, n))) {
                    for panels in [&by_columns, &by_rows] {
                        let found = product(kernel, panels, per_step);
                        assert_eq!(found, expected, "{} of {count} rows, {per_step} ahead", kernel.name());
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "so many lines are not ahead")]
    fn what_is_not_there_is_not_fetched() {
        let panel = [Line([0; LANES]); LINES];
        fetch(&panel, Ahead { lines: &panel[1..], per_step: LINES });
    }

    #[test]
    #[should_panic(expected = "no kernel fetches so many lines a step")]
    fn what_no_kernel_fetches_is_refused() {
        let panel = [Line([0; LANES]); LINES];
        fetch(&panel, Ahead { lines: &panel, per_step: 3 });
    }

    fn fetch(panel: &[Line], ahead: Ahead<'_>) {
        let rows = Rows { words: &[0], stride: 1, count: 1 };
        float32::fastest().multiply(rows, panel, COLUMNS, Some(&ahead), &mut Sums::default());
    }

    #[test]
    fn all_kernels_agree_on_all_shapes() {
        let of_f32 = |i: usize| ((i % 13) as f32 - 6.0).to_bits();
        agree(&float32::kernels(), of_f32, of_f32);
        let of_bf16 = |i: usize| {
            let mut word = [0];
            bfloat16::round_row(&[(i % 13) as f32 - 6.0, (i % 5) as f32], &mut word);
            word[0]
        };
        agree(&bfloat16::kernels(), of_bf16, of_bf16);
        let of_bytes = |i: usize| (i as u32).wrapping_mul(0x0103_0507);
        agree(&int8::kernels(), of_bytes, of_bytes);
    }

    #[test]
    fn pairs_agree_with_all_others_up_to_their_bound() {
        let word = |i: usize| if i.is_multiple_of(2) { u32::MAX } else { (i as u32).wrapping_mul(0x0103_0507) };
        let weight = |i: usize| {
            let [a, b] = [1 + i % 127, i % 97].map(|w| w as i8);
            let pairs = [[a, 127 - (a - 1)], [-64, -64], [b, -b], [-127, -1], [127, -128]];
            bytemuck::cast::<_, u32>([pairs[i % 5], pairs[i % 3]])
        };
        agree(&[pairs::kernels(), int8::kernels()].concat(), word, weight);
    }
}
