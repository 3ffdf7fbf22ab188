//! Pages whose values are noted as differences: how many there are stands within the page, and `parquet` makes room for as many.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::pages::{PageRoom, most_unpacked};
use crate::source::ranged::RangedFile;

/// As headers number them: `DELTA_BINARY_PACKED`, `DELTA_LENGTH_BYTE_ARRAY`, `DELTA_BYTE_ARRAY`.
pub const ENCODINGS: [i64; 3] = [5, 6, 7];

/// Values that one page may have, whatever its header says.
const VALUES: u64 = 1 << 24;

/// The pages of the chunk have no more differences than they have values, and become no larger than pages may. They must be
/// known to be no bombs. Gives `room` what they take.
///
/// # Errors
/// What is wrong with one of them.
pub fn check(file: &RangedFile, chunk: &ColumnChunkMetaData, mut room: PageRoom) -> Result<PageRoom, String> {
    let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
    let pages = SerializedPageReader::new(Arc::new(file.clone()), chunk, rows, None);
    let mut pages = pages.map_err(|cause| cause.to_string())?;
    while let Some(page) = pages.get_next_page().map_err(|cause| cause.to_string())? {
        let texts =
            check_page(&page, chunk).ok_or("a page has more values than its header says, or not the bytes for them")?;
        let (bytes, most) = (page.buffer().len() as u64, most_unpacked(page.buffer().len() as u64));
        if texts > most {
            return Err(format!("a page's texts would have {texts} bytes; at most {most} are taken"));
        }
        match page {
            Page::DictionaryPage { .. } => room.add_dictionary(bytes),
            _ => room.add_page(u64::from(page.num_values()), bytes.saturating_add(texts)),
        }
    }
    Ok(room)
}

/// The bytes of texts that are put together of the one before and what is new.
fn check_page(page: &Page, chunk: &ColumnChunkMetaData) -> Option<u64> {
    let numbers = match page.encoding() {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Some(0),
    };
    let (mut values, mut texts) = (values(page, chunk)?, 0_u64);
    for _ in 0..numbers {
        let found = Numbers::read(values)?;
        if found.count > VALUES.min(u64::from(page.num_values())) {
            return None;
        }
        if numbers == 2 {
            texts = texts.saturating_add(found.lengths?);
        }
        values = values.get(found.len..)?;
    }
    Some(texts)
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

/// Numbers that are noted as differences.
struct Numbers {
    count: u64,
    /// Their sum, if all of them can be lengths.
    lengths: Option<u64>,
    /// The bytes that they are noted in.
    len: usize,
}

impl Numbers {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let (block, minis, count) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
        let mut number = integer(&mut rest)?;
        let mut lengths = if count > 0 { longer(0, number) } else { Some(0) };
        let in_a_mini = block.checked_div(minis)?;
        let mut left = count.saturating_sub(1);
        while left > 0 && in_a_mini > 0 {
            let least = integer(&mut rest)?;
            let (widths, behind) = rest.split_at_checked(usize::try_from(minis).ok()?)?;
            rest = behind;
            for width in widths {
                // Behind the last number widths mean nothing.
                let width = if left == 0 { 0 } else { u32::from(*width) };
                let len = usize::try_from(u64::from(width).checked_mul(in_a_mini)? / 8).ok()?;
                let (packed, behind) = rest.split_at_checked(len)?;
                rest = behind;
                // Others are found out by their number.
                if count <= VALUES {
                    for place in 0..left.min(in_a_mini) {
                        number = number.wrapping_add(least).wrapping_add(unpacked(packed, place, width));
                        lengths = lengths.and_then(|sum| longer(sum, number));
                    }
                }
                left = left.saturating_sub(in_a_mini);
            }
        }
        Some(Self { count, lengths, len: bytes.len() - rest.len() })
    }
}

/// The sum with one more, if that is a length.
fn longer(sum: u64, length: i64) -> Option<u64> {
    i32::try_from(length).ok().and_then(|length| u64::try_from(length).ok()).map(|length| sum.saturating_add(length))
}

/// The number at this place, of so many bits, the lowest first.
fn unpacked(packed: &[u8], place: u64, width: u32) -> i64 {
    let bit = place * u64::from(width);
    let from = usize::try_from(bit / 8).unwrap_or(usize::MAX).min(packed.len());
    let mut window = [0; 16];
    let there = &packed[from..packed.len().min(from.saturating_add(16))];
    window[..there.len()].copy_from_slice(there);
    let shifted = (u128::from_le_bytes(window) >> (bit % 8)) as u64;
    (if width >= u64::BITS { shifted } else { shifted & ((1 << width) - 1) }) as i64
}

fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let raw = varint(bytes)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
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
