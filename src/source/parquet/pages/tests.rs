use std::io::Write;
use std::sync::Arc;

use parquet::basic::{BrotliLevel, GzipLevel};
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as SchemaType};

use super::*;
use crate::source::parquet::thrift::put_integer;

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
    check(&RangedFile::open(&path).unwrap(), &chunk)
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

#[test]
fn differences_are_no_more_than_values() {
    // The block's size, its parts, how many, the first; and the same of the second numbers.
    let numbers = |count: u8| vec![0x80, 1, 4, count, 0];
    let delta = |prefixes: &[u8], suffixes: &[u8]| {
        let body = [prefixes, suffixes].concat();
        checked(Compression::UNCOMPRESSED, &page(DATA, body.len() as i64, 3, DELTA_BYTE_ARRAY, &body))
    };
    assert_eq!(delta(&numbers(1), &numbers(1)), Ok(()));
    let many = [vec![0x80, 1, 4], vec![0xff; 8], vec![0x0f, 0]].concat();
    for (prefixes, suffixes) in
        [(many.clone(), numbers(1)), (numbers(1), many), (numbers(1), numbers(4)), (numbers(1), vec![])]
    {
        assert!(delta(&prefixes, &suffixes).unwrap_err().contains("more values than its header says"));
    }
}
