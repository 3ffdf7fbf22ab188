//! Tiles of kernels that take two words of a row in a step, and read weights their own way: beside [`super::tile`], what
//! AVX2 and AVX-512 do without instructions for bf16.

/// A tile in vector instructions, `$rows` rows by `$vectors` vectors at a time, whose sums, weights and words of a row fit the
/// registers. A step has `$parts` parts. `$row` reads, of the row at `$at`, what a part multiplies by; `$read` the weights of a part, out of the vectors at `$from`. `$dot` adds their product to a sum.
#[cfg(target_arch = "x86_64")]
macro_rules! wide_tile {
    (
        $vis:vis $name:ident, $features:literal, $sum:ty, $vector:ty, $rows:literal by $vectors:literal, $parts:literal,
        $zero:expr, |$at:ident, $of_step:ident, $of_part:ident| $row:expr,
        |$from:ident, $step:ident, $part:ident| $read:expr, |$acc:ident, $x:ident, $w:ident| $dot:expr
    ) => {
        #[target_feature(enable = $features)]
        $vis fn $name(rows: Rows<'_>, panel: &[Line], columns: usize, ahead: Option<&Ahead<'_>>, sums: &mut Sums<$sum>) {
            const LANES: usize = size_of::<$vector>() / 4;
            const VECTORS: usize = COLUMNS / LANES;

            #[expect(clippy::cast_ptr_alignment, reason = "the sums are written unaligned")]
            #[target_feature(enable = $features)]
            fn tile<const R: usize, const AHEAD: bool>(
                words: &[u32],
                stride: usize,
                panel: &[Line],
                group: usize,
                ahead: Option<&Ahead<'_>>,
                sums: &mut [[$sum; COLUMNS]],
            ) {
                let steps = panel.len() * size_of::<Line>() / (COLUMNS * 4);
                let weights = panel.as_ptr().cast::<$vector>();
                let mut acc = [[$zero; $vectors]; R];
                for $step in 0..steps {
                    if AHEAD && let Some(ahead) = ahead {
                        ahead.fetch($step);
                    }
                    for $part in 0..$parts {
                        // SAFETY: the panel holds `steps` times VECTORS vectors, of which these are some.
                        let w: [$vector; $vectors] = unsafe {
                            let $from = weights.add($step * VECTORS + group * $vectors).cast::<[$vector; $vectors]>();
                            $read
                        };
                        for (row, acc) in acc.iter_mut().enumerate() {
                            // SAFETY: `multiply` has seen that the last of the rows holds twice `steps` words.
                            let $x = unsafe {
                                let ($at, $of_step, $of_part) = (words.as_ptr().add(row * stride), $step, $part);
                                $row
                            };
                            for ($acc, $w) in acc.iter_mut().zip(w) {
                                *$acc = $dot;
                            }
                        }
                    }
                }
                for (acc, sums) in acc.into_iter().zip(sums) {
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
            fn fetching(
                words: &[u32],
                stride: usize,
                panel: &[Line],
                ahead: Option<&Ahead<'_>>,
                sums: &mut [[$sum; COLUMNS]],
            ) {
                tile::<$rows, true>(words, stride, panel, 0, ahead, sums);
            }

            for first in (0..rows.count).step_by($rows) {
                let (words, sums) = (&rows.words[first * rows.stride..], &mut sums.0[first..]);
                for group in 0..columns.div_ceil($vectors * LANES) {
                    if ahead.is_some() && first == 0 && group == 0 && rows.count >= $rows {
                        fetching(words, rows.stride, panel, ahead, sums);
                        continue;
                    }
                    match (rows.count - first).min($rows) {
                        1 => tile::<1, false>(words, rows.stride, panel, group, None, sums),
                        2 => tile::<2, false>(words, rows.stride, panel, group, None, sums),
                        3 => tile::<3, false>(words, rows.stride, panel, group, None, sums),
                        4 => tile::<4, false>(words, rows.stride, panel, group, None, sums),
                        5 => tile::<5, false>(words, rows.stride, panel, group, None, sums),
                        _ => tile::<ROWS, false>(words, rows.stride, panel, group, None, sums),
                    }
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use wide_tile;
