mod schemas;

use std::cell::Cell;
use std::fs::{self, File};

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeListArray, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use futures::{StreamExt, TryStreamExt};
use parquet::basic::Encoding;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use super::open::ENCRYPTED;
use super::*;
use crate::source::parquet::testing::{rows, write};

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
    let error = ParquetFile::open(&path).unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    let error = error.to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("the error names the file").to_owned()
}

#[test]
fn a_file_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = ParquetFile::open(&file(folder.path())).unwrap();
    assert_eq!(source.rows(), 100);
    assert_eq!(source.parts(), [Part { rows: 60 }, Part { rows: 40 }]);
    assert_eq!(source.schema().field(1).name(), "text");
    assert_eq!(source.codec(1), Some(Compression::UNCOMPRESSED));
    assert_eq!(source.data_len() + source.footer().len() as u64 + 8, fs::metadata(source.path()).unwrap().len());
}

#[tokio::test]
async fn only_the_wanted_columns_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let source = Arc::new(ParquetFile::open(&file(folder.path())).unwrap());
    let batches: Vec<_> = source.read(0..2, &[1, 3], 32).try_collect().await.unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 32));
    let all = arrow::compute::concat_batches(batches[0].schema_ref(), &batches).unwrap();
    assert_eq!(all.num_columns(), 2);
    let wanted = rows(100);
    assert_eq!(&all["text"], &cast(&wanted["text"], &DataType::BinaryView).unwrap());
    assert_eq!(&all["flag"], &wanted["flag"]);
}

#[tokio::test]
async fn a_part_is_read_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let source = Arc::new(ParquetFile::open(&file(folder.path())).unwrap());
    let rows = async |parts| {
        let batches = Arc::clone(&source).read(parts, &[0], 32);
        batches.map_ok(|batch| batch.num_rows()).try_collect::<Vec<_>>().await.unwrap()
    };
    assert_eq!(rows(0..2).await, [32, 28, 32, 8], "no batch spans two parts");
    assert_eq!(rows(1..2).await, [32, 8]);
    assert_eq!(rows(1..9).await, [32, 8]);
    assert_eq!(rows(2..2).await, [0; 0]);
}

#[tokio::test]
async fn readers_of_one_file_do_not_disturb_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let source = Arc::new(ParquetFile::open(&file(folder.path())).unwrap());
    let read = |columns: &[usize]| Arc::clone(&source).read(0..2, columns, 1).try_collect::<Vec<_>>();
    let (ids, texts, all) = futures::join!(read(&[0]), read(&[1]), read(&[0, 1]));
    let (ids, texts) = (ids.unwrap(), texts.unwrap());
    for (row, both) in all.unwrap().iter().enumerate() {
        assert_eq!(both.columns(), [&ids[row]["id"], &texts[row]["text"]].map(Arc::clone));
    }
}

#[tokio::test]
async fn a_long_text_that_repeats_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repeated.parquet");
    let long = "long ".repeat(100_000);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(); 100]));
    let key = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for texts in [cast(&texts, &key).unwrap(), texts] {
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        write(&path, &batch, &[100], WriterProperties::builder().build());
        let source = Arc::new(ParquetFile::open(&path).unwrap());
        let batch = source.read(0..1, &[0], 100).next().await.unwrap().unwrap();
        assert_eq!(batch["text"].as_binary_view().value(99), long.as_bytes());
        assert!(batch.get_array_memory_size() < 2 * long.len(), "{}", batch.get_array_memory_size());
    }
}

/// A row of each has the text, and what it is part of comes back as it was.
#[tokio::test]
async fn a_long_text_that_repeats_in_what_is_nested_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nested.parquet");
    let long = "long ".repeat(100_000);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(); 100]));
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    let lists = ListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([1; 100]), Arc::clone(&texts), None);
    let lists: ArrayRef = Arc::new(lists);
    let field = |name, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let fields = [("n", &numbers), ("title", &texts), ("tags", &lists)];
    let structs = fields.map(|(name, array)| (field(name, array), Arc::clone(array)));
    let structs: ArrayRef = Arc::new(StructArray::from(structs.to_vec()));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(Arc::clone(&item), 1, Arc::clone(&texts), None));
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["key"; 100]));
    let entries = [("key", false, keys), ("value", true, Arc::clone(&texts))];
    let entries = entries.map(|(name, is_null, array)| (Arc::new(Field::new(name, DataType::Utf8, is_null)), array));
    let entries = StructArray::from(entries.to_vec());
    let of_entries = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let maps: ArrayRef =
        Arc::new(MapArray::new(of_entries, OffsetBuffer::from_lengths([1; 100]), entries, None, false));
    for nested in [lists, structs, fixed, maps] {
        let given = RecordBatch::try_from_iter([("nested", nested)]).unwrap();
        write(&path, &given, &[100], WriterProperties::builder().build());
        let source = Arc::new(ParquetFile::open(&path).unwrap());
        let batch = Arc::clone(&source).read(0..1, &[0], 100).next().await.unwrap().unwrap();
        assert!(batch.get_array_memory_size() < 4 * long.len(), "{}", batch.get_array_memory_size());
        let typed = crate::source::typed(&batch, Arc::clone(source.schema())).unwrap();
        // Fewer where rows are long.
        assert_eq!(typed["nested"].as_ref(), given["nested"].slice(0, typed.num_rows()).as_ref());
    }
}

#[test]
fn what_decoding_takes_is_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.parquet");
    let texts: StringArray = (0..40).map(|row| Some(format!("{row:02}").repeat(1 << 19))).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_dictionary_enabled(false);
    write(&path, &batch, &[40], properties.set_write_batch_size(1).build());
    assert!(fs::metadata(&path).unwrap().len() < 4 << 20);
    let source = ParquetFile::open(&path).unwrap();
    let unreserved = |_| panic!("nothing is unpacked");
    let mebibytes = |rows| source.decoding_bytes(&[0], rows, &unreserved).unwrap() >> 20;
    // A text has a page of its own. All pages count twice, since there may be those of two row groups.
    assert_eq!((mebibytes(1), mebibytes(2), mebibytes(1024)), (4, 8, 80));
    let source = ParquetFile::open(&file(folder.path())).unwrap();
    assert_eq!((source.largest_group(&[1]), source.decoding_bytes(&[], 32, &unreserved).unwrap()), (60, 0));
}

/// Values that a page has for next to nothing: by a run of a dictionary's numbers, or as nulls.
#[test]
fn what_few_bytes_stand_for_is_counted_as_it_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let decoding = |version, column: ArrayRef, rows: usize| {
        let path = folder.path().join("few.parquet");
        let batch = RecordBatch::try_from_iter_with_nullable([("few", column, true)]).unwrap();
        let properties = WriterProperties::builder().set_writer_version(version);
        write(&path, &batch, &[batch.num_rows()], properties.build());
        assert!(fs::metadata(&path).unwrap().len() < 64 << 10);
        ParquetFile::open(&path).unwrap().decoding_bytes(&[0], rows, &|_| Ok(())).unwrap()
    };
    let nulls: ArrayRef = Arc::new(FixedSizeBinaryArray::new_null(1 << 16, 400));
    let of_nulls = |rows| decoding(WriterVersion::PARQUET_1_0, Arc::clone(&nulls), rows);
    let (one, all) = (of_nulls(1), of_nulls(1024));
    assert!((256 << 10..257 << 10).contains(&one), "{one}");
    assert!((50 << 20..51 << 20).contains(&all), "{all}");
    let lists = |lengths: &[usize]| -> ArrayRef {
        let ones: ArrayRef = Arc::new(Int64Array::from_value(1, lengths.iter().sum()));
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), ones, None))
    };
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let of_lists = |lengths| decoding(version, lists(lengths), 1);
        let (long, short) = (of_lists(&[1_000_000]), of_lists(&[1000; 1000]));
        assert!((80 << 20..100 << 20).contains(&long), "{long}");
        assert!((100_000..500_000).contains(&short), "{short}");
    }
}

#[test]
fn room_is_reserved_before_a_page_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unpacked.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..64).map(|_| "a".repeat(1 << 14))));
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([32; 2]), Arc::clone(&texts), None));
    for (column, encoding) in [(lists, Encoding::PLAIN), (texts, Encoding::DELTA_LENGTH_BYTE_ARRAY)] {
        let batch = RecordBatch::try_from_iter([("column", column)]).unwrap();
        let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(encoding);
        write(&path, &batch, &[batch.num_rows()], properties.set_compression(Compression::SNAPPY).build());
        let source = ParquetFile::open(&path).unwrap();
        let asked = Cell::new(0);
        let reserve = |bytes| {
            asked.set(bytes);
            Err(Error::Busy("others hold it".to_owned()))
        };
        let error = source.decoding_bytes(&[0], 1024, &reserve).unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error}");
        assert!((1 << 20..5 << 18).contains(&asked.get()), "{encoding}: {}", asked.get());
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
        let rows = ParquetFile::open(&path).unwrap().batch_rows(&[0], 8192);
        assert!((32..=64).contains(&rows), "{rows} rows of 1 to 2 MiB");
    }
    let source = ParquetFile::open(&file(folder.path())).unwrap();
    assert_eq!(source.batch_rows(&[1], 8192), 8192);
    assert_eq!(source.batch_rows(&[1], 0), 1);
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
    let error = ParquetFile::open(&missing).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: No such file", missing.display())), "{error}");
    let error = ParquetFile::open(folder.path()).unwrap_err().to_string();
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
    let source = ParquetFile::open(&path).unwrap();
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

/// The file with one byte string in its footer in place of another of the same length.
fn with_bytes(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).rposition(|found| found == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// A file of a column `texte` with one entry of metadata, and Arrow's.
fn noted(folder: &Path) -> Vec<u8> {
    let path = folder.join("noted.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["fine"; 3]));
    let batch = RecordBatch::try_from_iter([("texte", texts)]).unwrap();
    let note = KeyValue::new("comment".to_owned(), "etudie".to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![note]));
    write(&path, &batch, &[3], properties.set_created_by("writer version 1".to_owned()).build());
    fs::read(&path).unwrap()
}

#[tokio::test]
async fn metadata_in_latin_1_is_read_past() {
    let folder = tempfile::tempdir().unwrap();
    let good = noted(folder.path());
    let path = folder.path().join("latin1.parquet");
    let changes: [(&[u8], &[u8]); 4] = [
        (b"etudie", b"\xe9tudi\xe9"),
        (b"comment", b"comm\xeant"),
        (b"writer version 1", b"\xe9crit  version 1"),
        (b"etudie", b"\xff\xfe\x00\xd8\xc0\x80"),
    ];
    for (old, new) in changes {
        let bytes = with_bytes(&good, old, new);
        fs::write(&path, &bytes).unwrap();
        let source = Arc::new(ParquetFile::open(&path).unwrap());
        assert_eq!(source.schema().field(0).name(), "texte");
        assert!(source.footer().windows(new.len()).any(|found| found == new), "the footer is as it was");
        let batch = source.read(0..1, &[0], 9).next().await.unwrap().unwrap();
        assert_eq!(batch.num_rows(), 3);
    }
}

#[tokio::test]
async fn a_column_name_in_latin_1_has_a_replacement_character() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.parquet");
    let mut bytes = noted(folder.path());
    // Once in the schema, and once in the path of the column chunk.
    for _ in 0..2 {
        bytes = with_bytes(&bytes, b"texte", b"text\xe9");
    }
    fs::write(&path, bytes).unwrap();
    let source = Arc::new(ParquetFile::open(&path).unwrap());
    assert_eq!(source.schema().field(0).name(), "text\u{fffd}");
    let batch = source.read(0..1, &[0], 9).next().await.unwrap().unwrap();
    assert_eq!(batch.column(0).as_binary_view().value(2), b"fine");
}
