use std::io::Write;
use std::sync::Arc;

use parquet::basic::{BrotliLevel, GzipLevel};
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as SchemaType};

use super::*;
use crate::source::parquet::thrift::{put_integer, put_varint};

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const PLAIN: i64 = 0;
const DELTA_BYTE_ARRAY: i64 = 7;
const RLE: i64 = 3;

/// Fields of a struct, which are all integers.
fn integers(out: &mut Vec<u8>, values: &[i64]) {
    for value in values {
        out.push(0x10 | I32);
        put_integer(out, *value);
    }
}

/// A page: its header, and then its bytes.
fn page(kind: i64, unpacked: i64, values: i64, encoding: i64, packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    integers(&mut out, &[kind, unpacked, packed.len() as i64]);
    let (field, more): (u8, &[i64]) = if kind == DICTIONARY { (4, &[]) } else { (2, &[RLE, RLE]) };
    out.push(field << 4 | STRUCT);
    integers(&mut out, &[values, encoding]);
    integers(&mut out, more);
    out.extend([0, 0]);
    out.extend(packed);
    out
}

/// What is said of a chunk of texts with these bytes.
fn checked(codec: Compression, bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chunk");
    std::fs::write(&path, bytes).unwrap();
    let column = SchemaType::primitive_type_builder("text", Type::BYTE_ARRAY).build().unwrap();
    let column = ColumnDescriptor::new(Arc::new(column), 0, 0, ColumnPath::from("text"));
    let chunk = ColumnChunkMetaData::builder(Arc::new(column))
        .set_compression(codec)
        .set_num_values(3)
        .set_data_page_offset(0)
        .set_total_compressed_size(bytes.len() as i64)
        .build()
        .unwrap();
    let file = RangedFile::open(&path).unwrap();
    if check(&file, &chunk, 2)?.is_delta { unpacked::check(&file, &chunk, 2).map(drop) } else { Ok(()) }
}

#[track_caller]
fn check_refused(codec: Compression, bytes: &[u8], expected: &str) {
    let said = checked(codec, bytes).unwrap_err();
    assert!(said.contains(expected), "{said}");
}

#[test]
fn pages_that_are_as_they_say_pass() {
    let texts = [4, 0, 0, 0, b'g', b'o', b'o', b'd'].repeat(3);
    let good = page(DATA, texts.len() as i64, 3, PLAIN, &texts);
    assert_eq!(checked(Compression::UNCOMPRESSED, &good), Ok(()));
    let both = [page(DICTIONARY, 24, 3, PLAIN, &texts), good.clone()].concat();
    assert_eq!(checked(Compression::UNCOMPRESSED, &both), Ok(()));
    // What lies behind the last value is no page.
    assert_eq!(checked(Compression::UNCOMPRESSED, &[&good[..], &[0xff; 100]].concat()), Ok(()));
    check_refused(Compression::UNCOMPRESSED, &[0xff; 100], "no page header at byte 0");
    check_refused(Compression::UNCOMPRESSED, &[0; 100], "no page header at byte 0");
}

#[test]
fn sizes_that_nobody_has() {
    let small = [0; 10];
    for unpacked in [PAGE as i64 + 1, i64::from(i32::MAX)] {
        check_refused(
            Compression::SNAPPY,
            &page(DATA, unpacked, 3, PLAIN, &small),
            "once it is unpacked; at most 268435456",
        );
    }
    check_refused(Compression::SNAPPY, &page(DATA, -1, 3, PLAIN, &small), "a page has 10 bytes, of which 10 are there");
    let whole = page(DATA, 10, 3, PLAIN, &small);
    check_refused(Compression::SNAPPY, &whole[..whole.len() - 1], "a page has 10 bytes, of which 9 are there");
    check_refused(
        Compression::SNAPPY,
        &page(DICTIONARY, 10, 3, PLAIN, &small),
        "a dictionary of 3 values has 10 bytes",
    );
    check_refused(Compression::SNAPPY, &page(DICTIONARY, 10, 1 << 31, PLAIN, &small), "a dictionary of");
}

#[test]
fn bombs_are_counted_without_room_for_them() {
    let zeros = vec![0; 8 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 3, 22);
    brotli.write_all(&zeros).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&zeros).unwrap();
    for (codec, packed) in [
        (Compression::GZIP(GzipLevel::default()), gzip.finish().unwrap()),
        (Compression::BROTLI(BrotliLevel::default()), brotli.into_inner()),
        (Compression::LZ4, lz4.finish().unwrap()),
    ] {
        assert!(packed.len() < zeros.len() / 100);
        assert_eq!(checked(codec, &page(DATA, zeros.len() as i64, 3, PLAIN, &packed)), Ok(()));
        check_refused(codec, &page(DATA, 100, 3, PLAIN, &packed), "more than the 100 bytes that its header says");
    }
}

fn delta(values: i64, prefixes: &[u8], suffixes: &[u8]) -> Result<(), String> {
    let body = [prefixes, suffixes].concat();
    checked(Compression::UNCOMPRESSED, &page(DATA, body.len() as i64, values, DELTA_BYTE_ARRAY, &body))
}

/// Numbers that begin with `first` and each are so much larger than the one before: the block's size, its parts, how many, the
/// first; and what is the least difference, for each part in no bits more.
fn numbers(count: u64, first: i64, step: i64) -> Vec<u8> {
    let mut out = vec![0x80, 1, 4];
    put_varint(&mut out, count);
    put_integer(&mut out, first);
    for _ in 0..count.saturating_sub(1).div_ceil(128) {
        put_integer(&mut out, step);
        out.extend([0; 4]);
    }
    out
}

/// A text of some thousand bytes comes again and again, for no byte more.
#[test]
fn texts_that_begin_as_the_one_before_are_counted_as_they_will_be() {
    assert_eq!(delta(3, &numbers(3, 0, 1), &numbers(3, 4, -2)), Ok(()));
    assert_eq!(delta(1000, &numbers(1000, 1000, 0), &numbers(1000, 0, 0)), Ok(()));
    let bombs = [(numbers(100_000, 3000, 0), numbers(100_000, 0, 0)), (numbers(100_000, 0, 1), numbers(100_000, 1, 0))];
    for (prefixes, suffixes) in bombs {
        let said = delta(100_000, &prefixes, &suffixes).unwrap_err();
        assert!(said.contains("texts would have"), "{said}");
    }
    let said = delta(3, &numbers(3, 4, -3), &numbers(3, 0, 0)).unwrap_err();
    assert!(said.contains("not the bytes for them"), "{said}");
}

#[test]
fn differences_are_no_more_than_values() {
    let numbers = |count: u64| numbers(count, 0, 0);
    let delta = |prefixes: &[u8], suffixes: &[u8]| delta(3, prefixes, suffixes);
    assert_eq!(delta(&numbers(1), &numbers(1)), Ok(()));
    let many = [vec![0x80, 1, 4], vec![0xff; 8], vec![0x0f, 0]].concat();
    for (prefixes, suffixes) in
        [(many.clone(), numbers(1)), (numbers(1), many), (numbers(1), numbers(4)), (numbers(1), vec![])]
    {
        assert!(delta(&prefixes, &suffixes).unwrap_err().contains("more values than its header says"));
    }
}
