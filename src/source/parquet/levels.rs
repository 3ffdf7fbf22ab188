//! Levels of repetition: where rows begin in a page of lists. A few bytes may say it of any number of items.

use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use super::delta::{unpacked, varint};

/// Tells `give` of the values of a page, in order: whether each of the next ones begins a row, and how many there are. Those of which
/// the page says nothing that can be read go on with their row.
pub fn each_run(page: &Page, column: &ColumnDescriptor, mut give: impl FnMut(bool, u64)) {
    let mut left = u64::from(page.num_values());
    if column.max_rep_level() == 0 {
        return give(true, left);
    }
    let (width, mut levels) = (bits(column.max_rep_level()), repetitions(page, column).unwrap_or_default());
    while let Some(header) = varint(&mut levels).filter(|_| left > 0) {
        let (count, is_packed) = (header >> 1, header & 1 == 1);
        let len = if is_packed { count.saturating_mul(width.into()) } else { width.div_ceil(8).into() };
        let (run, rest) = levels.split_at(usize::try_from(len).unwrap_or(usize::MAX).min(levels.len()));
        levels = rest;
        let count = if is_packed { 8 * run.len() as u64 / u64::from(width) } else { count }.min(left);
        left -= count;
        if is_packed {
            (0..count).for_each(|place| give(unpacked(run, place, width) == 0, 1));
        } else {
            give(run.iter().all(|byte| *byte == 0), count);
        }
    }
    give(false, left);
}

/// The levels of repetition, if they are noted in runs.
fn repetitions<'a>(page: &'a Page, column: &ColumnDescriptor) -> Option<&'a [u8]> {
    match page {
        Page::DataPageV2 { buf, rep_levels_byte_len, .. } => buf.get(..*rep_levels_byte_len as usize),
        Page::DataPage { buf, num_values, rep_level_encoding, .. } if *rep_level_encoding == Encoding::RLE => {
            split(buf, *num_values, *rep_level_encoding, column.max_rep_level()).map(|(levels, _)| levels)
        }
        _ => None,
    }
}

/// Levels of so many values, and what stands behind them, in a page of the first version.
pub fn split(bytes: &[u8], values: u32, encoding: Encoding, most: i16) -> Option<(&[u8], &[u8])> {
    if most == 0 {
        return Some((&[], bytes));
    }
    if encoding == Encoding::RLE {
        let (len, rest) = bytes.split_first_chunk()?;
        return rest.split_at_checked(u32::from_le_bytes(*len) as usize);
    }
    let bits = u64::from(values) * u64::from(bits(most));
    bytes.split_at_checked(usize::try_from(bits.div_ceil(8)).ok()?)
}

/// Bits that a level takes.
fn bits(most: i16) -> u32 {
    i16::BITS - most.leading_zeros()
}
