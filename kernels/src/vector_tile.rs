//! Tiles of kernels that take a word of a row in a step: beside [`super::tile`], what instructions do that multiply and add
//! vectors of words.

/// A tile in vector instructions: passes over groups of at most `$most` vectors of columns, so that sums, weights and a
/// broadcast word fit the registers. `$dot` adds the product of a broadcast and a weight vector to a sum.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_tile {
    (
        $vis:vis $name:ident, $features:literal, $sum:ty, $vector:ty, $words:ty, $most:literal,
        $zero:expr, $splat:expr, |$acc:ident, $x:ident, $w:ident| $dot:expr
    ) => {
        #[target_feature(enable = $features)]
        $vis fn $name(rows: Rows<'_>, panel: &[Line], columns: usize, ahead: Option<&Ahead<'_>>, sums: &mut Sums<$sum>) {
            const LANES: usize = size_of::<$words>() / 4;

            #[expect(clippy::cast_ptr_alignment, reason = "the sums are written unaligned")]
            #[target_feature(enable = $features)]
            fn tile<const R: usize, const V: usize, const AHEAD: usize>(
                rows: Rows<'_>,
                panel: &[Line],
                group: usize,
                ahead: Option<&Ahead<'_>>,
                sums: &mut Sums<$sum>,
            ) {
                const VECTORS: usize = COLUMNS / LANES;
                let steps = panel.len() * size_of::<Line>() / (COLUMNS * 4);
                let weights = panel.as_ptr().cast::<$words>();
                let words = rows.words.as_ptr();
                let mut acc = [[$zero; V]; R];
                for step in 0..steps {
                    if AHEAD > 0 && let Some(ahead) = ahead {
                        ahead.fetch::<AHEAD>(step);
                    }
                    // SAFETY: the panel holds `steps` times VECTORS vectors, and as `group` is of columns that there are, V
                    // of them begin here.
                    let w = unsafe { weights.add(step * VECTORS + group * V).cast::<[$words; V]>().read() };
                    for (row, acc) in acc.iter_mut().enumerate() {
                        // SAFETY: `multiply` has seen that the last of the rows holds `steps` words.
                        let $x = $splat(unsafe { words.add(row * rows.stride + step).read() }.cast_signed());
                        for ($acc, $w) in acc.iter_mut().zip(w) {
                            *$acc = $dot;
                        }
                    }
                }
                for (acc, sums) in acc.into_iter().zip(&mut sums.0) {
                    let sums = sums[group * V * LANES..][..V * LANES].as_mut_ptr().cast::<$vector>();
                    for (v, acc) in acc.into_iter().enumerate() {
                        // SAFETY: the slice above holds V vectors.
                        unsafe { sums.add(v).write_unaligned(acc) };
                    }
                }
            }

            #[target_feature(enable = $features)]
            fn grouped<const V: usize>(
                rows: Rows<'_>,
                panel: &[Line],
                columns: usize,
                ahead: Option<&Ahead<'_>>,
                sums: &mut Sums<$sum>,
            ) {
                for group in 0..columns.div_ceil(V * LANES) {
                    match rows.count {
                        1 => tile::<1, V, 0>(rows, panel, group, None, sums),
                        2 => tile::<2, V, 0>(rows, panel, group, None, sums),
                        3 => tile::<3, V, 0>(rows, panel, group, None, sums),
                        4 => tile::<4, V, 0>(rows, panel, group, None, sums),
                        5 => tile::<5, V, 0>(rows, panel, group, None, sums),
                        _ if group == 0 && ahead.is_some() => fetching::<V>(rows, panel, ahead, sums),
                        _ => tile::<ROWS, V, 0>(rows, panel, group, None, sums),
                    }
                }
            }

            /// The first group. Apart, so that it costs those nothing who fetch nothing.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn fetching<const V: usize>(
                rows: Rows<'_>,
                panel: &[Line],
                ahead: Option<&Ahead<'_>>,
                sums: &mut Sums<$sum>,
            ) {
                match ahead.map_or(0, |ahead| ahead.per_step) {
                    1 => tile::<ROWS, V, 1>(rows, panel, 0, ahead, sums),
                    2 => tile::<ROWS, V, 2>(rows, panel, 0, ahead, sums),
                    LINES => tile::<ROWS, V, LINES>(rows, panel, 0, ahead, sums),
                    _ => tile::<ROWS, V, 0>(rows, panel, 0, None, sums),
                }
            }

            if columns <= 2 * LANES {
                grouped::<2>(rows, panel, columns, ahead, sums);
            } else {
                grouped::<$most>(rows, panel, columns, ahead, sums);
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use vector_tile;
