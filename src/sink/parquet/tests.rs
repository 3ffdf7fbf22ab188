mod entries;
mod excerpts;

use std::fs::{self, File};

use arrow::array::{Array, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder, WriterVersion};
use tempfile::TempDir;

use super::*;
use crate::source::parquet::testing::{metadata, read, rows, scores, write};

/// An input, and what the splice made of it.
struct Spliced {
    _folder: TempDir,
    input: PathBuf,
    output: PathBuf,
}

/// Appends `new` to the file `input`, handing it over in batches of `batch` rows.
fn splice(input: &Path, output: &Path, new: &RecordBatch, batch: usize) -> Result<()> {
    splice_to(ParquetFile::open(input)?, output, new, batch)
}

fn splice_to(source: ParquetFile, output: &Path, new: &RecordBatch, batch: usize) -> Result<()> {
    let source = Arc::new(source);
    let options = File::options().write(true).create_new(true).open(output);
    let fields = new.schema_ref().fields();
    let text = source.schema().index_of("text").unwrap();
    let mut splice = Splice::begin(source, fields, text, output, options.unwrap(), || false)?;
    let mut at = 0;
    while at < new.num_rows() {
        let len = batch.min(new.num_rows() - at);
        splice.write(new.slice(at, len).columns())?;
        at += len;
    }
    Box::new(splice).finish()
}

/// Writes rows in row groups of these sizes, splices made-up scores to them, and checks all that every splice must hold.
fn check(groups: &[usize], properties: WriterPropertiesBuilder) -> Spliced {
    let count = groups.iter().sum();
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    write(&input, &rows(count), groups, properties.build());
    splice(&input, &output, &scores(count), 700).unwrap();
    check_bytes(&input, &output);
    check_metadata(&input, &output);
    check_rows(&input, &output, &scores(count));
    Spliced { _folder: folder, input, output }
}

/// Every byte range of every old column chunk is the same in both files.
fn check_bytes(input: &Path, output: &Path) {
    let (old, new) = (fs::read(input).unwrap(), fs::read(output).unwrap());
    let (old_metadata, new_metadata) = (metadata(input), metadata(output));
    let groups = old_metadata.metadata().row_groups().iter().zip(new_metadata.metadata().row_groups());
    for (old_group, new_group) in groups {
        for (old_chunk, new_chunk) in old_group.columns().iter().zip(new_group.columns()) {
            let bytes = |bytes: &[u8], (start, len): (u64, u64)| bytes[start as usize..(start + len) as usize].to_vec();
            assert!(bytes(&old, old_chunk.byte_range()) == bytes(&new, new_chunk.byte_range()));
        }
    }
}

/// Statistics, encodings, sizes, page indexes, order, names: all that is known of the old columns is known still.
fn check_metadata(input: &Path, output: &Path) {
    let (old, new) = (metadata(input), metadata(output));
    let (old, new) = (old.metadata(), new.metadata());
    let (old_file, new_file) = (old.file_metadata(), new.file_metadata());
    assert_eq!(old_file.created_by(), new_file.created_by());
    assert_eq!(old_file.version(), new_file.version());
    assert_eq!(old_file.num_rows(), new_file.num_rows());
    assert_eq!(old.num_row_groups(), new.num_row_groups());
    let old_roots = old_file.schema().get_fields();
    assert_eq!(old_roots, &new_file.schema().get_fields()[..old_roots.len()]);
    for (number, (old_group, new_group)) in old.row_groups().iter().zip(new.row_groups()).enumerate() {
        let width = old_group.num_columns();
        assert_eq!(old_group.columns(), &new_group.columns()[..width]);
        assert_eq!(old_group.num_rows(), new_group.num_rows());
        assert_eq!(old_group.sorting_columns(), new_group.sorting_columns());
        assert_eq!(old_group.ordinal(), new_group.ordinal());
        assert_eq!(old_group.file_offset(), new_group.file_offset());
        let new_bytes: i64 = new_group.columns().iter().map(ColumnChunkMetaData::uncompressed_size).sum();
        assert_eq!(new_group.total_byte_size(), new_bytes);
        for column in 0..width {
            let (old, new) = (old.page_index_for_row_group(number), new.page_index_for_row_group(number));
            assert_eq!(old.offset_index(column), new.offset_index(column));
            assert_eq!(old.column_index(column), new.column_index(column));
        }
        for column in width..new_group.num_columns() {
            assert!(new.page_index_for_row_group(number).offset_index(column).is_some());
        }
    }
}

const SPARK: &str = "org.apache.spark.sql.parquet.row.metadata";

/// A reader finds the old columns equal, types and metadata included, and after them the new ones.
fn check_rows(input: &Path, output: &Path, scores: &RecordBatch) {
    let (old, new) = (read(input), read(output));
    let notes = |batch: &RecordBatch| {
        let mut notes = batch.schema_ref().metadata().clone();
        // This one lists the columns.
        notes.remove(SPARK);
        notes
    };
    assert_eq!(notes(&old), notes(&new));
    let fields: Vec<_> = old.schema_ref().fields().iter().chain(scores.schema_ref().fields()).collect();
    assert_eq!(new.schema_ref().fields().iter().collect::<Vec<_>>(), fields);
    let columns: Vec<_> = old.columns().iter().chain(scores.columns()).collect();
    assert_eq!(new.columns().iter().collect::<Vec<_>>(), columns);
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

#[test]
fn every_codec_and_both_kinds_of_page() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
    ];
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let spliced = check(&[2000, 1000], properties().set_compression(codec).set_writer_version(version));
            let written = metadata(&spliced.output).metadata().row_group(1).columns().last().unwrap().compression();
            let expected = if codec == Compression::LZ4 { Compression::SNAPPY } else { codec };
            assert_eq!(written, expected);
        }
    }
}

#[test]
fn many_pages_have_their_indexes() {
    let spliced = check(&[3000, 5000], properties().set_data_page_row_count_limit(100).set_write_batch_size(50));
    let metadata = metadata(&spliced.output);
    let index = metadata.metadata().page_index_for_row_group(1);
    assert_eq!(index.num_data_pages(1), Some(50));
}

#[test]
fn files_without_statistics_or_indexes_or_dictionaries() {
    check(&[900, 1], properties().set_statistics_enabled(EnabledStatistics::None));
    check(&[900, 1], properties().set_statistics_enabled(EnabledStatistics::Chunk));
    check(&[900, 1], properties().set_offset_index_disabled(true).set_statistics_enabled(EnabledStatistics::None));
    check(&[900, 1], properties().set_dictionary_enabled(false));
}

#[test]
fn row_groups_of_any_size_and_number() {
    check(&[], properties());
    check(&[1], properties());
    check(&[699, 1, 701, 3, 1400], properties());
    // More than fourteen: the long form of Thrift's lists.
    check(&[5; 40], properties());
}

#[test]
fn bloom_filters_stay() {
    let spliced = check(&[500, 500], properties().set_bloom_filter_enabled(true));
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&spliced.output).unwrap()).unwrap();
    let filter = builder.get_row_group_column_bloom_filter(1, 1).unwrap().expect("a bloom filter");
    assert!(filter.check(&"review number 501"));
    assert!(!filter.check(&"review number 1"));
}

#[test]
fn nested_new_columns_join_too() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    write(&input, &rows(30), &[10, 20], properties().build());
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Float32Array::from_iter_values((0..60).map(|value| value as f32));
    let lists = FixedSizeListArray::new(item, 2, Arc::new(values), None);
    let field = Field::new("probabilities", lists.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let new = RecordBatch::try_new(schema, vec![Arc::new(lists)]).unwrap();
    splice(&input, &output, &new, 7).unwrap();
    check_bytes(&input, &output);
    check_metadata(&input, &output);
    check_rows(&input, &output, &new);
}

/// A file of one column `text` and no `ARROW:schema`, with row groups of these sizes, empty ones too.
fn write_plain(path: &Path, groups: &[usize]) {
    let schema = parquet::schema::parser::parse_message_type("message m { required binary text (UTF8); }").unwrap();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties().build())).unwrap();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts = vec![ByteArray::from("fine"); *rows];
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn empty_row_groups_stay_and_no_arrow_schema_is_added() {
    for groups in [&[0][..], &[0, 3, 0, 0, 900, 0]] {
        let count = groups.iter().sum();
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
        write_plain(&input, groups);
        splice(&input, &output, &scores(count), 2).unwrap();
        check_bytes(&input, &output);
        check_metadata(&input, &output);
        check_rows(&input, &output, &scores(count));
        assert_eq!(metadata(&output).metadata().file_metadata().key_value_metadata(), None);
    }
}

/// `bytes` with its footer replaced.
fn with_footer(bytes: &[u8], footer: &[u8]) -> Vec<u8> {
    let old = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let mut out = bytes[..bytes.len() - 8 - old].to_vec();
    out.extend_from_slice(footer);
    out.extend_from_slice(&(footer.len() as u32).to_le_bytes());
    out.extend_from_slice(b"PAR1");
    out
}

#[test]
fn what_we_do_not_know_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    write_plain(&input, &[4]);
    let mut footer = ParquetFile::open(&input).unwrap().footer().to_vec();
    // Field 99 of the file's metadata, a string, before the byte that ends the struct.
    assert_eq!(footer.pop(), Some(0));
    footer.extend_from_slice(b"\x08\xc6\x01\x0cfrom 2031 on\x00");
    fs::write(&input, with_footer(&fs::read(&input).unwrap(), &footer)).unwrap();
    splice(&input, &output, &scores(4), 4).unwrap();
    check_rows(&input, &output, &scores(4));
    let written = ParquetFile::open(&output).unwrap();
    assert!(written.footer().ends_with(b"from 2031 on\0"));
}

#[test]
fn a_splice_of_a_splice() {
    let first = check(&[10, 20], properties());
    let output = first.output.with_extension("again");
    let again = scores(30);
    let names = [Field::new("label2", DataType::Utf8, true), Field::new("confidence2", DataType::Float32, true)];
    let again = RecordBatch::try_new(Arc::new(Schema::new(names.to_vec())), again.columns().to_vec()).unwrap();
    splice(&first.output, &output, &again, 11).unwrap();
    check_bytes(&first.output, &output);
    check_metadata(&first.output, &output);
    check_rows(&first.output, &output, &again);
}

#[test]
fn missing_and_surplus_rows_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.parquet");
    write(&input, &rows(30), &[10, 20], properties().build());
    let source = Arc::new(ParquetFile::open(&input).unwrap());
    let begin = |name: &str| {
        let path = folder.path().join(name);
        let file = File::options().write(true).create_new(true).open(&path).unwrap();
        Splice::begin(Arc::clone(&source), scores(0).schema_ref().fields(), 1, &path, file, || false).unwrap()
    };
    let mut splice = begin("missing");
    splice.write(scores(29).columns()).unwrap();
    assert_eq!(Box::new(splice).finish().unwrap_err().to_string(), "row group 1 has 19 of 20 rows");
    let error = begin("surplus").write(scores(31).columns()).unwrap_err();
    assert_eq!(error.to_string(), "1 rows more than its row groups hold");
}

#[test]
fn copying_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    write(&input, &rows(30), &[30], properties().build());
    let source = Arc::new(ParquetFile::open(&input).unwrap());
    let file = File::create(&output).unwrap();
    let stopped = Splice::begin(Arc::clone(&source), scores(0).schema_ref().fields(), 1, &output, file, || true);
    assert!(matches!(stopped.err(), Some(Error::Cancelled(_))));
    assert_eq!(fs::metadata(&output).unwrap().len(), 4, "the magic and nothing else");
}

#[test]
fn a_full_disk_is_an_error_that_names_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.parquet");
    write(&input, &rows(3000), &[3000], properties().build());
    let source = Arc::new(ParquetFile::open(&input).unwrap());
    // Linux's device that is always full.
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: no /dev/full here");
        return;
    };
    let path = Path::new("out.parquet");
    let outcome = Splice::begin(Arc::clone(&source), scores(0).schema_ref().fields(), 1, path, full, || false);
    let error = outcome.map(drop).unwrap_err().to_string();
    assert!(error.starts_with("out.parquet: No space left"), "{error}");
    let outcome = unwritten(path, ParquetError::from(std::io::Error::from(std::io::ErrorKind::StorageFull)));
    assert_eq!(outcome.to_string(), "out.parquet: no storage space");
}

#[test]
fn the_text_column_may_be_any_string_column() {
    let spliced = check(&[10], properties().set_column_compression("text".into(), Compression::SNAPPY));
    let metadata = metadata(&spliced.output);
    let group = metadata.metadata().row_group(0);
    let text = group.columns().iter().find(|chunk| chunk.column_path().string() == "text").unwrap();
    assert_eq!(text.compression(), Compression::SNAPPY);
    assert_eq!(group.columns().last().unwrap().compression(), Compression::SNAPPY);
    let label = read(&spliced.output).column_by_name("label").unwrap().clone();
    assert_eq!(label.as_any().downcast_ref::<StringArray>().unwrap().value(1), "POSITIVE");
}

#[test]
fn what_the_footer_takes_is_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    let new = scores(50);
    write(&input, &rows(50), &[1; 50], WriterProperties::builder().build());
    let source = Arc::new(ParquetFile::open(&input).unwrap());
    let (fields, before) = (new.schema_ref().fields(), source.footer().len() as u64);
    for marks in [Marks::new(), vec![("textflight.model".to_owned(), "m".repeat(1000))]] {
        let bytes = footer_bytes(fields, source.parts().len(), &marks);
        let splice = Splice::begin(Arc::clone(&source), fields, 1, &output, File::create(&output).unwrap(), || false);
        let mut splice = splice.unwrap().marked(marks);
        splice.write(new.columns()).unwrap();
        Box::new(splice).finish().unwrap();
        let grown = ParquetFile::open(&output).unwrap().footer().len() as u64 - before;
        assert!((3 * grown..40 * grown).contains(&bytes), "{bytes} for {grown}");
    }
}
