//! Pages whose values are noted as differences: how many there are stands within the page, and `parquet` makes room for as many.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::source::ranged::RangedFile;

/// As headers number them: `DELTA_BINARY_PACKED`, `DELTA_LENGTH_BYTE_ARRAY`, `DELTA_BYTE_ARRAY`.
pub const ENCODINGS: [i64; 3] = [5, 6, 7];

/// Values that one page may have, whatever its header says.
const VALUES: u64 = 1 << 24;

/// The pages of the chunk have no more differences than they have values. They must be known to be no bombs.
///
/// # Errors
/// What is wrong with one of them.
pub fn check(file: &RangedFile, chunk: &ColumnChunkMetaData) -> Result<(), String> {
    let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
    let pages = SerializedPageReader::new(Arc::new(file.clone()), chunk, rows, None);
    let mut pages = pages.map_err(|cause| cause.to_string())?;
    while let Some(page) = pages.get_next_page().map_err(|cause| cause.to_string())? {
        check_page(&page, chunk).ok_or("a page has more values than its header says, or not the bytes for them")?;
    }
    Ok(())
}

fn check_page(page: &Page, chunk: &ColumnChunkMetaData) -> Option<()> {
    let numbers = match page.encoding() {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Some(()),
    };
    let mut values = values(page, chunk)?;
    for _ in 0..numbers {
        let (count, len) = count(values)?;
        if count > VALUES.min(u64::from(page.num_values())) {
            return None;
        }
        values = values.get(len..)?;
    }
    Some(())
}

/// What stands behind the levels.
fn values<'a>(page: &'a Page, chunk: &ColumnChunkMetaData) -> Option<&'a [u8]> {
    let column = chunk.column_descr();
    match page {
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            buf.get(*def_levels_byte_len as usize..)?.get(*rep_levels_byte_len as usize..)
        }
        Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
            let levels = [(column.max_rep_level(), rep_level_encoding), (column.max_def_level(), def_level_encoding)];
            levels.iter().filter(|(most, _)| *most > 0).try_fold(&buf[..], |rest, (most, encoding)| match encoding {
                Encoding::RLE => {
                    let (len, rest) = rest.split_first_chunk()?;
                    rest.get(u32::from_le_bytes(*len) as usize..)
                }
                _ => {
                    let bits = u64::from(*num_values) * u64::from(i16::BITS - most.leading_zeros());
                    rest.get(usize::try_from(bits.div_ceil(8)).ok()?..)
                }
            })
        }
        Page::DictionaryPage { .. } => Some(&[]),
    }
}

/// How many numbers are noted, and in how many bytes.
fn count(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut rest = bytes;
    let (block, minis, count) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
    varint(&mut rest)?;
    let in_a_mini = block.checked_div(minis)?;
    let mut left = count.saturating_sub(1);
    while left > 0 && in_a_mini > 0 {
        varint(&mut rest)?;
        let (widths, behind) = rest.split_at_checked(usize::try_from(minis).ok()?)?;
        rest = behind;
        for width in widths {
            // Behind the last number widths mean nothing.
            let width = if left == 0 { 0 } else { u64::from(*width) };
            left = left.saturating_sub(in_a_mini);
            rest = rest.get(usize::try_from(width.checked_mul(in_a_mini)? / 8).ok()?..)?;
        }
    }
    Some((count, bytes.len() - rest.len()))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
