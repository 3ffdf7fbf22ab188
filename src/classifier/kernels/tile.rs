//! Register-blocked tiles of a matrix product: what the three precisions share.
//!
//! A product `x · W` is cut into tiles of [`ROWS`] rows by [`COLUMNS`] columns whose sums stay in registers while the inner
//! dimension runs by (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). Everything
//! travels in 32-bit words: one f32, two bf16 or four 8-bit integers, which one multiply-add instruction takes at once.
//! So all precisions have one layout, and an element's sum runs over the inner dimension in one order, whatever stands
//! beside it: its bits depend on its own row and column alone.

/// Rows of a tile: with [`COLUMNS`] they fill 24 of AVX-512's 32 registers with sums.
pub const ROWS: usize = 6;
/// Columns of a tile, and of a panel of weights.
pub const COLUMNS: usize = 64;
/// Words of a cache line.
const LANES: usize = 16;

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

/// A matrix as panels of [`COLUMNS`] columns, each `[steps, COLUMNS]` words; the last one is filled up with zeros.
#[derive(Default)]
pub struct Panels {
    lines: Vec<Line>,
    steps: usize,
}

impl Panels {
    /// Lays out a matrix of `steps` words by `columns`, anew in the same memory.
    pub fn fill(&mut self, steps: usize, columns: usize, word: impl Fn(usize, usize) -> u32) {
        self.steps = steps;
        self.lines.clear();
        self.lines.reserve(columns.div_ceil(COLUMNS) * steps * COLUMNS / LANES);
        for first in (0..columns).step_by(COLUMNS) {
            for step in 0..steps {
                for first in (first..first + COLUMNS).step_by(LANES) {
                    let word = |lane| if first + lane < columns { word(step, first + lane) } else { 0 };
                    self.lines.push(Line(std::array::from_fn(word)));
                }
            }
        }
    }

    /// Words of the inner dimension.
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// The panels from left to right.
    pub fn iter(&self) -> impl Iterator<Item = &[Line]> {
        self.lines.chunks_exact((self.steps * COLUMNS / LANES).max(1))
    }
}

/// One way to compute a tile on this processor.
#[derive(Clone, Copy)]
pub struct TileKernel<S> {
    name: &'static str,
    tile: unsafe fn(Rows<'_>, &[Line], &mut Sums<S>),
}

impl<S> TileKernel<S> {
    /// A kernel by the name of its instructions.
    ///
    /// # Safety
    /// The processor has the instructions, and `tile` keeps to the rows, lines and sums that [`TileKernel::multiply`]
    /// proves to be there.
    pub const unsafe fn new(name: &'static str, tile: unsafe fn(Rows<'_>, &[Line], &mut Sums<S>)) -> Self {
        Self { name, tile }
    }

    /// The instructions that it uses.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The products of the rows with a panel, into the first `rows.count` rows of `sums`.
    pub fn multiply(&self, rows: Rows<'_>, panel: &[Line], sums: &mut Sums<S>) {
        let steps = panel.len() * LANES / COLUMNS;
        assert!(panel.len() * LANES == steps * COLUMNS && (1..=ROWS).contains(&rows.count));
        assert!((rows.count - 1) * rows.stride + steps <= rows.words.len());
        // SAFETY: `new` was promised the instructions, and the assertions are the bounds that a tile keeps to.
        unsafe { (self.tile)(rows, panel, sums) }
    }
}

/// A tile in vector instructions: `$groups` passes over `$vectors` vectors of columns, so that sums, weights and a
/// broadcast word fit the registers. `$dot` adds the product of a broadcast and a weight vector to a sum.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_tile {
    (
        $vis:vis $name:ident, $features:literal, $sum:ty, $vector:ty, $words:ty, $groups:literal x $vectors:literal,
        $zero:expr, $splat:expr, |$acc:ident, $x:ident, $w:ident| $dot:expr
    ) => {
        #[target_feature(enable = $features)]
        $vis fn $name(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<$sum>) {
            #[target_feature(enable = $features)]
            fn tile<const R: usize>(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<$sum>) {
                const LANES: usize = size_of::<$words>() / 4;
                const VECTORS: usize = COLUMNS / LANES;
                let steps = panel.len() * size_of::<Line>() / (COLUMNS * 4);
                let weights = panel.as_ptr().cast::<$words>();
                let words = rows.words.as_ptr();
                for group in 0..$groups {
                    let mut acc = [[$zero; $vectors]; R];
                    for step in 0..steps {
                        // SAFETY: the panel holds `steps` times VECTORS vectors, and `$groups` groups of `$vectors` are
                        // as many.
                        let w = unsafe { weights.add(step * VECTORS + group * $vectors).cast::<[$words; $vectors]>().read() };
                        for (row, acc) in acc.iter_mut().enumerate() {
                            // SAFETY: `multiply` has seen that the last of the rows holds `steps` words.
                            let $x = $splat(unsafe { words.add(row * rows.stride + step).read() }.cast_signed());
                            for ($acc, $w) in acc.iter_mut().zip(w) {
                                *$acc = $dot;
                            }
                        }
                    }
                    for (acc, sums) in acc.into_iter().zip(&mut sums.0) {
                        let sums = sums[group * $vectors * LANES..][..$vectors * LANES].as_mut_ptr().cast::<$vector>();
                        for (v, acc) in acc.into_iter().enumerate() {
                            // SAFETY: the slice above holds `$vectors` vectors.
                            unsafe { sums.add(v).write_unaligned(acc) };
                        }
                    }
                }
            }
            match rows.count {
                1 => tile::<1>(rows, panel, sums),
                2 => tile::<2>(rows, panel, sums),
                3 => tile::<3>(rows, panel, sums),
                4 => tile::<4>(rows, panel, sums),
                5 => tile::<5>(rows, panel, sums),
                _ => tile::<ROWS>(rows, panel, sums),
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use vector_tile;

/// A tile in plain Rust, for any processor: `dot` adds the product of two words to a sum.
pub fn portable<S: Copy + Default>(
    rows: Rows<'_>,
    panel: &[Line],
    sums: &mut Sums<S>,
    dot: impl Fn(S, u32, u32) -> S,
) {
    for (row, sums) in sums.0.iter_mut().take(rows.count).enumerate() {
        *sums = [S::default(); COLUMNS];
        let words = &rows.words[row * rows.stride..];
        for (x, lines) in words.iter().zip(panel.chunks_exact(COLUMNS / LANES)) {
            for (sums, line) in sums.chunks_exact_mut(LANES).zip(lines) {
                for (sum, w) in sums.iter_mut().zip(&line.0) {
                    *sum = dot(*sum, *x, *w);
                }
            }
        }
    }
}
