//! Where the parts of a Parquet file lie, checked before anything is read from there.

use std::ops::Range;

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::open::ENCRYPTED;
use crate::source::ranged::RangedFile;

/// What ends a Parquet file: the length of the footer, then the magic.
pub const TAIL: u64 = 8;
pub const MAGIC: &[u8; 4] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";

/// Bytes at the end of a file that most footers fit into.
const MOST_FOOTERS: u64 = 64 << 10;

/// What is read of a file of this length to find its footer.
pub fn ends(len: u64) -> [Range<u64>; 2] {
    [0..len.min(MAGIC.len() as u64), len.saturating_sub(MOST_FOOTERS)..len]
}

/// Where the footer begins, and how many bytes it has, or what about the file is wrong.
pub fn footer_range(file: &RangedFile) -> Result<(u64, usize), String> {
    let none = || "not a Parquet file: it does not begin and end with PAR1 (cut off, or another format)".to_owned();
    let len = file.len();
    if len < MAGIC.len() as u64 + TAIL {
        return Err(none());
    }
    let read = |start, len| file.range(start, len).map_err(|cause| cause.to_string());
    let (head, tail) = (read(0, MAGIC.len())?, read(len - TAIL, TAIL as usize)?);
    let (footer_len, magic) = tail.split_at(4);
    if magic == MAGIC_ENCRYPTED {
        return Err(ENCRYPTED.to_owned());
    }
    if head != MAGIC || magic != MAGIC {
        return Err(none());
    }
    let footer_len = u32::from_le_bytes([footer_len[0], footer_len[1], footer_len[2], footer_len[3]]);
    match (len - TAIL).checked_sub(u64::from(footer_len)) {
        Some(start) if start >= MAGIC.len() as u64 => Ok((start, footer_len as usize)),
        _ => Err(format!("damaged: its footer claims {footer_len} bytes, the file has {len}")),
    }
}

/// Every part of a column chunk must lie before the footer: beyond it will stand something else.
pub fn check_ranges(metadata: &ParquetMetaData, data_len: u64) -> Result<(), String> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        if rows < 0 {
            return Err(format!("damaged: row group {number} has {rows} rows"));
        }
        for chunk in group.columns() {
            let name = chunk.column_path();
            if chunk.file_path().is_some_and(|path| !path.is_empty()) {
                return Err(format!("column {name} lies in another file, which is not supported"));
            }
            if !parts(chunk).all(|(start, len)| lies_within(start, len, data_len)) {
                return Err(format!("damaged or cut off: column {name} of row group {number} reaches beyond the data"));
            }
        }
    }
    Ok(())
}

/// Start and length of all that the file holds for a column chunk.
fn parts(chunk: &ColumnChunkMetaData) -> impl Iterator<Item = (i64, i64)> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let located = [
        (chunk.bloom_filter_offset(), chunk.bloom_filter_length()),
        (chunk.column_index_offset(), chunk.column_index_length()),
        (chunk.offset_index_offset(), chunk.offset_index_length()),
    ];
    // Old writers left the length of a bloom filter out.
    let located = located.into_iter().filter_map(|(start, len)| Some((start?, i64::from(len.unwrap_or(0)))));
    std::iter::once((start, chunk.compressed_size())).chain(located)
}

fn lies_within(start: i64, len: i64, data_len: u64) -> bool {
    let (Ok(start), Ok(len)) = (u64::try_from(start), u64::try_from(len)) else {
        return false;
    };
    start.checked_add(len).is_some_and(|end| end <= data_len)
}
