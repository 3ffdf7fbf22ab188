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
            give(run.len() as u64 == len && run.iter().all(|byte| *byte == 0), count);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Type;
    use parquet::schema::types::{ColumnPath, Type as SchemaType};

    use super::*;

    /// Whether values begin rows, and how many do so.
    type Runs = [(bool, u64)];

    /// What is told of a page of so many values with these levels of at most `most`.
    fn runs(most: i16, values: u32, levels: &[u8], version: u8) -> Vec<(bool, u64)> {
        let column = SchemaType::primitive_type_builder("text", Type::BYTE_ARRAY).build().unwrap();
        let column = ColumnDescriptor::new(Arc::new(column), 0, most, ColumnPath::from("text"));
        let (encoding, texts) = (Encoding::PLAIN, [0xff; 9]);
        let len = (levels.len() as u32).to_le_bytes();
        let page = if version == 1 {
            Page::DataPage {
                buf: [&len, levels, &texts].concat().into(),
                num_values: values,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            }
        } else {
            Page::DataPageV2 {
                buf: [levels, &texts].concat().into(),
                num_values: values,
                encoding,
                num_nulls: 0,
                num_rows: 1,
                def_levels_byte_len: 0,
                rep_levels_byte_len: levels.len() as u32,
                is_compressed: false,
                statistics: None,
            }
        };
        let mut told = Vec::new();
        each_run(&page, &column, |begins, count| told.push((begins, count)));
        told.retain(|(_, count)| *count > 0);
        told
    }

    #[test]
    fn rows_begin_where_levels_are_zero() {
        let alternating = [(true, 1), (false, 1)];
        let cases: &[(&str, i16, u32, &[u8], &Runs)] = &[
            ("no list", 0, 7, &[], &[(true, 7)]),
            ("rows of one", 1, 5, &[10, 0], &[(true, 5)]),
            ("a row and its items", 1, 100, &[2, 0, 0xc6, 1, 1], &[(true, 1), (false, 99)]),
            ("bits", 1, 4, &[3, 0b1010], &[alternating, alternating].concat()),
            ("bits behind the last value", 1, 2, &[3, 0b1010], &alternating),
            ("levels of two bits", 3, 4, &[3, 0b11_00_10_00, 0], &[alternating, alternating].concat()),
            ("a level of two bytes", 256, 3, &[6, 0, 1], &[(false, 3)]),
            ("more than there are", 1, 5, &[0xfe, 0xff, 3, 0], &[(true, 5)]),
            ("fewer than there are", 1, 5, &[4, 0], &[(true, 2), (false, 3)]),
            ("nothing", 1, 5, &[], &[(false, 5)]),
            ("a run without its level", 1, 5, &[10], &[(false, 5)]),
            ("half a level", 256, 5, &[10, 0], &[(false, 5)]),
            ("bits that are cut off", 3, 16, &[5, 0], &[&[(true, 1); 4][..], &[(false, 12)]].concat()),
            ("a count without end", 1, 5, &[0xff; 12], &[(false, 5)]),
        ];
        for (what, most, values, levels, expected) in cases {
            for version in [1, 2] {
                assert_eq!(runs(*most, *values, levels, version), *expected, "{what}, version {version}");
            }
        }
    }

    #[test]
    fn levels_end_where_they_say() {
        let bytes = [2, 0, 0, 0, 10, 0, 7, 7];
        assert_eq!(split(&bytes, 5, Encoding::RLE, 0), Some((&[][..], &bytes[..])));
        assert_eq!(split(&bytes, 5, Encoding::RLE, 1), Some((&[10, 0][..], &[7, 7][..])));
        assert_eq!(split(&bytes[..5], 5, Encoding::RLE, 1), None);
        assert_eq!(split(&bytes[..3], 5, Encoding::RLE, 1), None);
        // Without a length, in as many bits as all of them take.
        #[expect(deprecated, reason = "files of old have it")]
        let packed = Encoding::BIT_PACKED;
        assert_eq!(split(&bytes, 9, packed, 1), Some((&bytes[..2], &bytes[2..])));
        assert_eq!(split(&bytes, 33, packed, 3), None);
    }
}
