//! What a column chunk's pages say of themselves, checked before `parquet` makes room by it: a few bytes could ask for all memory,
//! and what cannot be had ends the process.

mod room;
pub mod unpacked;

use std::io::{Read, copy, sink};

use parquet::basic::{Compression, Type};
use parquet::file::metadata::ColumnChunkMetaData;

pub use self::room::PageRoom;
use super::delta;
use super::thrift::{Damaged, I32, Result as Found, STRUCT, Scanner};
use crate::source::ranged::RangedFile;

/// Bytes that a page may have once it is unpacked, however small it is packed. Writers begin a new one at 1 MiB, or after some
/// thousand rows.
const PAGE: u64 = 256 << 20;

/// How many times larger than its packed bytes a page beyond that may be.
const PACKED: u64 = 16;

/// Bytes in which a header is looked for at first, and at last: it may hold long minima and maxima.
const HEADER: (usize, usize) = (512, 8 << 20);

/// Bytes that a value takes once it is decoded, beside its own: two levels, and the view of it or the wide number that it becomes.
const VALUE: u64 = 36;

/// Bytes that what so many others become may have at most.
pub fn most_unpacked(packed: u64) -> u64 {
    PAGE.max(packed.saturating_mul(PACKED))
}

/// What the headers of a chunk's pages say.
#[derive(Debug)]
pub struct PageHeaders {
    /// The room that the pages take, where a value is a row.
    pub room: PageRoom,
    /// Whether values are noted as differences: how many there are is not in headers.
    pub is_delta: bool,
    /// Whether rows are lists: how many values they have is not in headers.
    pub is_list: bool,
    /// The most bytes that a page has, packed and unpacked: what it takes to unpack one after the other.
    pub largest: u64,
}

/// The chunk's pages do not claim more than they have, as far as their headers say. So many rows are decoded at a time.
///
/// # Errors
/// What is wrong with which of them.
pub fn check(file: &RangedFile, chunk: &ColumnChunkMetaData, batch_rows: usize) -> Result<PageHeaders, String> {
    let (start, len) = chunk.byte_range();
    let (mut at, end) = (start, start + len);
    let (mut values, mut is_delta, mut largest) = (0_i64, false, 0);
    let mut room = room_of(chunk, batch_rows);
    while at < end {
        let header = match Header::read(file, at, end) {
            Ok(header) => header,
            // Some writers leave bytes behind the last page, which nobody reads.
            Err(_) if values >= chunk.num_values() => break,
            Err(cause) => return Err(cause),
        };
        at += header.len;
        header.check(chunk, end - at)?;
        check_unpacked(file, at, &header, chunk.compression())?;
        at += header.packed as u64;
        largest = largest.max((header.packed as u64).saturating_add(header.unpacked as u64));
        if header.is_dictionary {
            room.add_dictionary(header.unpacked as u64);
        } else {
            room.add_values(true, header.values as u64);
            room.add_page(header.unpacked as u64);
            values = values.saturating_add(header.values);
        }
        is_delta |= delta::ENCODINGS.contains(&header.encoding);
    }
    Ok(PageHeaders { room, is_delta, is_list: is_list(chunk), largest })
}

/// Whether a row may have many values.
fn is_list(chunk: &ColumnChunkMetaData) -> bool {
    chunk.column_descr().max_rep_level() > 0
}

/// The room for a chunk of which no page is known yet.
fn room_of(chunk: &ColumnChunkMetaData, batch_rows: usize) -> PageRoom {
    PageRoom::new(batch_rows as u64, VALUE + value_bytes(chunk), is_list(chunk))
}

/// A page's header.
#[derive(Debug, Default)]
struct Header {
    /// Its own bytes.
    len: u64,
    /// The page's bytes, before and after they are unpacked.
    packed: i64,
    unpacked: i64,
    is_dictionary: bool,
    values: i64,
    encoding: i64,
    /// Bytes in front that are never packed, of pages of the second version.
    levels: i64,
}

impl Header {
    fn read(file: &RangedFile, at: u64, end: u64) -> Result<Self, String> {
        let mut window = HEADER.0;
        loop {
            let all = usize::try_from(end - at).unwrap_or(usize::MAX).min(HEADER.1);
            let bytes = file.range(at, window.min(all)).map_err(|cause| cause.to_string())?;
            match Self::parse(&bytes) {
                Ok(header) => return Ok(header),
                Err(_) if window < all => window *= 16,
                Err(_) => return Err(format!("no page header at byte {at}")),
            }
        }
    }

    fn parse(bytes: &[u8]) -> Found<Self> {
        let (mut scanner, mut header, mut last) = (Scanner::new(bytes), Self::default(), 0);
        let mut required = 0;
        while let Some(field) = scanner.field(&mut last)? {
            required += u8::from(matches!(field.id, 1..=3));
            match (field.id, field.kind) {
                (2, I32) => header.unpacked = scanner.integer()?,
                (3, I32) => header.packed = scanner.integer()?,
                (5, STRUCT) => header.parse_kind(&mut scanner, 2, &[])?,
                (7, STRUCT) => {
                    header.is_dictionary = true;
                    header.parse_kind(&mut scanner, 2, &[])?;
                }
                (8, STRUCT) => header.parse_kind(&mut scanner, 4, &[5, 6])?,
                (_, kind) => scanner.skip(kind)?,
            }
        }
        header.len = scanner.position() as u64;
        // A zero is a struct without fields: many of them would be as many pages.
        if required == 3 { Ok(header) } else { Err(Damaged("a page without a type or a size")) }
    }

    /// What belongs to one kind of page: the number of values, then, at this field, their encoding, and lengths of levels.
    fn parse_kind(&mut self, scanner: &mut Scanner<'_>, encoding: i16, levels: &[i16]) -> Found<()> {
        let mut last = 0;
        while let Some(field) = scanner.field(&mut last)? {
            match (field.id, field.kind) {
                (1, I32) => self.values = scanner.integer()?,
                (id, I32) if id == encoding => self.encoding = scanner.integer()?,
                (id, I32) if levels.contains(&id) => self.levels = self.levels.saturating_add(scanner.integer()?),
                (_, kind) => scanner.skip(kind)?,
            }
        }
        Ok(())
    }

    /// `left` bytes are left in the chunk.
    fn check(&self, chunk: &ColumnChunkMetaData, left: u64) -> Result<(), String> {
        let Self { packed, unpacked, values, levels, .. } = *self;
        if [packed, unpacked, values, levels].iter().any(|number| *number < 0)
            || packed as u64 > left
            || levels > packed
        {
            return Err(format!("a page has {packed} bytes, of which {left} are there"));
        }
        let most = most_unpacked(packed as u64);
        if unpacked as u64 > most {
            return Err(format!(
                "a page of {packed} bytes would have {unpacked} once it is unpacked; at most {most} are taken"
            ));
        }
        // Room is made for each.
        if self.is_dictionary && (values as u64).saturating_mul(value_bytes(chunk).max(1)) > unpacked as u64 {
            return Err(format!("a dictionary of {values} values has {unpacked} bytes"));
        }
        Ok(())
    }
}

/// Bytes that a value of the chunk has at least where it is written out.
pub fn value_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    match chunk.column_type() {
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::BOOLEAN => 0,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(chunk.column_descr().type_length()).unwrap_or(0),
    }
}

/// What `parquet` unpacks without a bound has no more bytes than its header says.
fn check_unpacked(file: &RangedFile, at: u64, header: &Header, codec: Compression) -> Result<(), String> {
    if !matches!(codec, Compression::GZIP(_) | Compression::BROTLI(_) | Compression::LZ4) {
        return Ok(());
    }
    let (levels, most) = (header.levels as u64, header.unpacked.saturating_sub(header.levels).max(0) as u64);
    let packed = file.reader(at + levels).take((header.packed as u64).saturating_sub(levels));
    let mut unpacked: Box<dyn Read> = match codec {
        Compression::GZIP(_) => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Compression::BROTLI(_) => Box::new(brotli::Decompressor::new(packed, 64 * 1024)),
        _ => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
    };
    // What is broken, or in LZ4's other frames, is for `parquet` to say: it stops there as well.
    let counted = copy(&mut unpacked.by_ref().take(most + 1), &mut sink()).unwrap_or(0);
    if counted > most {
        return Err(format!("a page has more than the {most} bytes that its header says"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
