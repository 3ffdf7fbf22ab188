use super::*;
use crate::bulk::testing::{rows, write};
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::fs;

fn file(folder: &Path) -> PathBuf {
    let path = folder.join("in.parquet");
    write(&path, &rows(100), &[60, 40], WriterProperties::builder().build());
    path
}

/// Opens a file of these bytes, which must fail with an error that names the file.
fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.parquet");
    fs::write(&path, bytes).unwrap();
    let error = Source::open(&path).unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    let error = error.to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("the error names the file").to_owned()
}

#[test]
fn a_file_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::open(&file(folder.path())).unwrap();
    assert_eq!(source.rows(), 100);
    assert_eq!(source.row_groups(), [60, 40]);
    assert_eq!(source.schema().field(1).name(), "text");
    assert_eq!(source.codec(1), Some(Compression::UNCOMPRESSED));
    assert_eq!(source.data_len() + source.footer().len() as u64 + 8, fs::metadata(source.path()).unwrap().len());
}

#[test]
fn only_the_wanted_columns_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::open(&file(folder.path())).unwrap();
    let batches: Vec<_> = source.batches(&[1, 3], 32).unwrap().map(|batch| batch.unwrap()).collect();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 32));
    let all = arrow::compute::concat_batches(batches[0].schema_ref(), &batches).unwrap();
    assert_eq!(all.num_columns(), 2);
    let wanted = rows(100);
    assert_eq!(&all["text"], &cast(&wanted["text"], &DataType::Utf8View).unwrap());
    assert_eq!(&all["flag"], &wanted["flag"]);
}

#[test]
fn a_long_text_that_repeats_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repeated.parquet");
    let long = "long ".repeat(100_000);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(); 100]));
    let key = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for texts in [cast(&texts, &key).unwrap(), texts] {
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        write(&path, &batch, &[100], WriterProperties::builder().build());
        let source = Source::open(&path).unwrap();
        let batch = source.batches(&[0], 100).unwrap().next().unwrap().unwrap();
        assert_eq!(batch["text"].as_string_view().value(99), long);
        assert!(batch.get_array_memory_size() < 2 * long.len(), "{}", batch.get_array_memory_size());
    }
}

#[test]
fn long_texts_come_in_smaller_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.parquet");
    let texts: StringArray = (0..40).map(|row| Some(format!("{row}").repeat(1 << 20))).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    for statistics in [EnabledStatistics::Page, EnabledStatistics::None] {
        let properties = WriterProperties::builder().set_statistics_enabled(statistics);
        write(&path, &batch, &[40], properties.set_dictionary_enabled(false).build());
        let rows = Source::open(&path).unwrap().batch_rows(0, 8192);
        assert!((32..=64).contains(&rows), "{rows} rows of 1 to 2 MiB");
    }
    let source = Source::open(&file(folder.path())).unwrap();
    assert_eq!(source.batch_rows(1, 8192), 8192);
    assert_eq!(source.batch_rows(1, 0), 1);
}

#[test]
fn what_is_no_parquet_file_is_refused() {
    let none = "not a Parquet file: it does not begin and end with PAR1 (cut off, or another format)";
    assert_eq!(refused(b""), none);
    assert_eq!(refused(b"id,text\n1,fine\n2,bad\n"), none);
    assert_eq!(refused(b"PAR1PAR1"), none);
    assert_eq!(refused(b"PAR1\0\0\0\0NOPE"), none);
    assert_eq!(refused(b"PAR1\xff\0\0\0PAR1"), "damaged: its footer claims 255 bytes, the file has 12");
    assert_eq!(refused(b"PAR1\0\0\0\0PAR1"), "damaged footer: it ends in mid-value");
}

#[test]
fn a_missing_file_or_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.parquet");
    let error = Source::open(&missing).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: No such file", missing.display())), "{error}");
    let error = Source::open(folder.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: not a file", folder.path().display()));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(file(folder.path())).unwrap();
    for len in (0..bytes.len()).step_by(97) {
        refused(&bytes[..len]);
    }
}

#[test]
fn a_file_with_its_middle_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(file(folder.path())).unwrap();
    let cut = [&bytes[..100], &bytes[2000..]].concat();
    let error = refused(&cut);
    assert!(error.starts_with("damaged or cut off: column "), "{error}");
}

#[test]
fn a_file_that_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let source = Source::open(&path).unwrap();
    source.check_unchanged().unwrap();
    File::options().append(true).open(&path).unwrap().set_len(source.data_len()).unwrap();
    let error = source.check_unchanged().unwrap_err().to_string();
    assert_eq!(error, format!("{}: it changed while it was read; run again", path.display()));
}

/// The footer's bytes.
fn footer(bytes: &[u8]) -> &[u8] {
    let len = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    &bytes[bytes.len() - 8 - len..bytes.len() - 8]
}

/// The file with another footer in its place.
fn with_footer(bytes: &[u8], new: &[u8]) -> Vec<u8> {
    let data = &bytes[..bytes.len() - 8 - footer(bytes).len()];
    [data, new, &(new.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

#[test]
fn an_encrypted_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(file(folder.path())).unwrap();
    let mut sealed = bytes.clone();
    let end = sealed.len() - 4;
    sealed[end..].copy_from_slice(b"PARE");
    assert_eq!(refused(&sealed), ENCRYPTED);
    // A readable footer, and in it field 8: the algorithm by which columns are encrypted, AES GCM.
    let old = footer(&bytes);
    let plain = [&old[..old.len() - 1], &[0x0c, 16, 0x1c, 0, 0], &[0]].concat();
    assert_eq!(refused(&with_footer(&bytes, &plain)), ENCRYPTED);
}
