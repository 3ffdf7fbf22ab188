//! Some row groups of a file, as a file of their own.

use std::ops::Range;

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

const GROUPS: [usize; 5] = [300, 1, 250, 700, 40];

/// Writes an excerpt of these row groups with made-up scores, and looks whether it is what a file of their own would be.
fn check_excerpt(input: &Path, groups: Range<usize>) -> PathBuf {
    let output = input.with_extension(format!("{}-{}", groups.start, groups.end));
    let source = ParquetFile::open(input).unwrap().excerpt(groups.clone()).unwrap();
    let rows = source.parts().iter().map(|part| part.rows).sum::<u64>() as usize;
    splice_to(source, &output, &scores(rows), 130).unwrap();
    check_chunks(input, &output, groups.clone());
    let (old, new) = (read(input), read(&output));
    let before =
        metadata(input).metadata().row_groups()[..groups.start].iter().map(RowGroupMetaData::num_rows).sum::<i64>();
    let old = old.slice(before as usize, rows);
    assert_eq!(new.num_rows(), rows);
    assert_eq!(old.columns(), &new.columns()[..old.num_columns()]);
    assert_eq!(old.schema_ref().fields()[..], new.schema_ref().fields()[..old.num_columns()]);
    output
}

/// The chunks' bytes are the same, and so is what is known of them.
fn check_chunks(input: &Path, output: &Path, groups: Range<usize>) {
    let (old_bytes, new_bytes) = (fs::read(input).unwrap(), fs::read(output).unwrap());
    let (old, new) = (metadata(input), metadata(output));
    let old_groups = &old.metadata().row_groups()[groups];
    assert_eq!(old_groups.len(), new.metadata().num_row_groups());
    for (number, (old, new)) in old_groups.iter().zip(new.metadata().row_groups()).enumerate() {
        assert_eq!(new.ordinal(), old.ordinal().map(|_| number as i32));
        for (old, new) in old.columns().iter().zip(new.columns()) {
            let bytes = |bytes: &[u8], (start, len): (u64, u64)| bytes[start as usize..(start + len) as usize].to_vec();
            assert!(bytes(&old_bytes, old.byte_range()) == bytes(&new_bytes, new.byte_range()));
            assert_eq!((old.statistics(), old.num_values()), (new.statistics(), new.num_values()));
            assert_eq!(
                (new.offset_index_offset(), new.column_index_length(), new.bloom_filter_offset()),
                (None, None, None)
            );
        }
    }
}

#[test]
fn row_groups_are_a_file_of_their_own() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let plain = properties().set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None);
    for properties in [properties(), properties().set_bloom_filter_enabled(true).set_compression(zstd), plain] {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.parquet");
        write(&input, &rows(GROUPS.iter().sum()), &GROUPS, properties.build());
        for groups in [0..5, 0..1, 1..3, 2..3, 2..5, 4..5] {
            let len = fs::metadata(check_excerpt(&input, groups.clone())).unwrap().len();
            let whole = fs::metadata(&input).unwrap().len();
            assert!(groups.len() == 5 || len < whole, "{groups:?}: {len} of {whole} bytes");
        }
    }
}

/// What was added to a file lies at its end: those of a row group lie far from one another.
#[test]
fn row_groups_of_what_was_scored_already() {
    let spliced = check(&GROUPS, properties());
    let new = scores(GROUPS.iter().sum());
    let schema = Schema::new(vec![
        Field::new("label2", DataType::Utf8, true),
        Field::new("confidence2", DataType::Float32, true),
    ]);
    let new = RecordBatch::try_new(Arc::new(schema), new.columns().to_vec()).unwrap();
    let twice = spliced.output.with_extension("twice");
    splice(&spliced.output, &twice, &new, 100).unwrap();
    for groups in [0..2, 3..5] {
        let output = twice.with_extension("part");
        let source = ParquetFile::open(&spliced.output).unwrap().excerpt(groups.clone()).unwrap();
        let before = GROUPS[..groups.start].iter().sum();
        let rows = GROUPS[groups.clone()].iter().sum();
        splice_to(source, &output, &new.slice(before, rows), 100).unwrap();
        assert_eq!(read(&output), read(&twice).slice(before, rows));
        fs::remove_file(output).unwrap();
    }
}

/// Another reader finds every page where the indexes of the new columns say.
#[test]
fn pages_of_new_columns_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.parquet");
    write(&input, &rows(GROUPS.iter().sum()), &GROUPS, properties().build());
    let output = check_excerpt(&input, 3..5);
    let file = File::open(&output).unwrap();
    let found = metadata(&output);
    assert!(SerializedFileReader::new(file).unwrap().get_row_iter(None).unwrap().all(|row| row.is_ok()));
    let last = found.metadata().row_group(1).num_columns() - 1;
    assert!(found.metadata().page_index_for_row_group(1).offset_index(last).is_some());
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.parquet");
    write(&input, &rows(10), &[5, 5], properties().build());
    let bytes = fs::read(&input).unwrap();
    for at in (ParquetFile::open(&input).unwrap().data_len() as usize..bytes.len()).step_by(11) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        fs::write(&input, &bytes).unwrap();
        if let Ok(file) = ParquetFile::open(&input) {
            let _ = file.excerpt(1..2);
        }
    }
}
