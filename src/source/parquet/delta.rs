//! Pages whose values are noted as differences: how many there are stands within the page, and `parquet` makes room for as many.

use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use super::levels::split;

/// As headers number them: `DELTA_BINARY_PACKED`, `DELTA_LENGTH_BYTE_ARRAY`, `DELTA_BYTE_ARRAY`.
pub const ENCODINGS: [i64; 3] = [5, 6, 7];

/// Values that one page may have, whatever its header says.
const VALUES: u64 = 1 << 24;

/// The bytes of texts that are put together of the one before and what is new; none where a page has more differences than it has
/// values.
pub fn texts(page: &Page, column: &ColumnDescriptor) -> Option<u64> {
    let numbers = match page.encoding() {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Some(0),
    };
    let (mut values, mut texts) = (values(page, column)?, 0_u64);
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
fn values<'a>(page: &'a Page, column: &ColumnDescriptor) -> Option<&'a [u8]> {
    match page {
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            buf.get(*def_levels_byte_len as usize..)?.get(*rep_levels_byte_len as usize..)
        }
        Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
            let (_, rest) = split(buf, *num_values, *rep_level_encoding, column.max_rep_level())?;
            split(rest, *num_values, *def_level_encoding, column.max_def_level()).map(|(_, values)| values)
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
pub fn unpacked(packed: &[u8], place: u64, width: u32) -> i64 {
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

/// An integer of any length, of which each byte has seven bits.
pub fn varint(bytes: &mut &[u8]) -> Option<u64> {
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
