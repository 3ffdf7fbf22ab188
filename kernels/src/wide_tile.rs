//! Tiles of kernels that take two words of a row in a step, and read weights their own way: beside [`super::tile`], what
//! AVX2 and AVX-512 do without instructions for bf16.

/// A tile of f32 in vector instructions, a row's `$vectors` vectors of columns at a time, so that sums, weights and a word of a
/// row fit the registers. A step has two parts, a word each. `$read` reads the weights of a part, out of the vectors at
/// `$from`; `$dot` adds the product of a broadcast word and a vector of them to a sum.
#[cfg(target_arch = "x86_64")]
macro_rules! wide_tile {
    (
        $vis:vis $name:ident, $features:literal, $vector:ty, $vectors:literal, $zero:expr, $splat:expr,
        |$from:ident, $step:ident, $part:ident| $read:expr, |$acc:ident, $x:ident, $w:ident| $dot:expr
    ) => {
        #[target_feature(enable = $features)]
        $vis fn $name(rows: Rows<'_>, panel: &[Line], columns: usize, ahead: Option<&Ahead<'_>>, sums: &mut Sums<f32>) {
            const LANES: usize = size_of::<$vector>() / 4;
            const VECTORS: usize = COLUMNS / LANES;

            #[expect(clippy::cast_ptr_alignment, reason = "the sums are written unaligned")]
            #[target_feature(enable = $features)]
            fn tile<const R: usize, const AHEAD: usize>(
                rows: Rows<'_>,
                panel: &[Line],
                group: usize,
                ahead: Option<&Ahead<'_>>,
                sums: &mut Sums<f32>,
            ) {
                let steps = panel.len() * size_of::<Line>() / (COLUMNS * 4);
                let weights = panel.as_ptr().cast::<$vector>();
                let words = rows.words.as_ptr().cast::<f32>();
                let mut acc = [[$zero; $vectors]; R];
                for $step in 0..steps {
                    if AHEAD > 0 && let Some(ahead) = ahead {
                        ahead.fetch::<AHEAD>($step);
                    }
                    for $part in 0..2 {
                        // SAFETY: the panel holds `steps` times VECTORS vectors, of which these are some.
                        let w: [$vector; $vectors] = unsafe {
                            let $from = weights.add($step * VECTORS + group * $vectors).cast::<[$vector; $vectors]>();
                            $read
                        };
                        for (row, acc) in acc.iter_mut().enumerate() {
                            // SAFETY: `multiply` has seen that the last of the rows holds twice `steps` words.
                            let $x = $splat(unsafe { words.add(row * rows.stride + 2 * $step + $part).read() });
                            for ($acc, $w) in acc.iter_mut().zip(w) {
                                *$acc = $dot;
                            }
                        }
                    }
                }
                for (acc, sums) in acc.into_iter().zip(&mut sums.0) {
                    let sums = sums[group * $vectors * LANES..][..$vectors * LANES].as_mut_ptr().cast::<$vector>();
                    for (v, acc) in acc.into_iter().enumerate() {
                        // SAFETY: the slice above holds so many vectors.
                        unsafe { sums.add(v).write_unaligned(acc) };
                    }
                }
            }

            /// Apart, so that it costs those nothing who fetch nothing.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn fetching(rows: Rows<'_>, panel: &[Line], ahead: Option<&Ahead<'_>>, sums: &mut Sums<f32>) {
                match ahead.map_or(0, |ahead| ahead.per_step) {
                    1 => tile::<ROWS, 1>(rows, panel, 0, ahead, sums),
                    2 => tile::<ROWS, 2>(rows, panel, 0, ahead, sums),
                    LINES => tile::<ROWS, LINES>(rows, panel, 0, ahead, sums),
                    _ => tile::<ROWS, 0>(rows, panel, 0, None, sums),
                }
            }

            for group in 0..columns.div_ceil($vectors * LANES) {
                match rows.count {
                    1 => tile::<1, 0>(rows, panel, group, None, sums),
                    2 => tile::<2, 0>(rows, panel, group, None, sums),
                    3 => tile::<3, 0>(rows, panel, group, None, sums),
                    4 => tile::<4, 0>(rows, panel, group, None, sums),
                    5 => tile::<5, 0>(rows, panel, group, None, sums),
                    _ if group == 0 && ahead.is_some() => fetching(rows, panel, ahead, sums),
                    _ => tile::<ROWS, 0>(rows, panel, group, None, sums),
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use wide_tile;
