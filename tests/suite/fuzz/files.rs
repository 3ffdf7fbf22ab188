//! Parquet files with damaged footers and pages.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::*;
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use textflight::source::Source;
use textflight::source::parquet::ParquetFile;
use textflight::table::{ScoreOptions, TextColumns};
use textflight::{Error, Result};
use tokio::runtime::Runtime;

use super::damage::{Damage, damage};
use super::fuzz;
use crate::engines::{Fake, score_file};

/// What stands behind the footer: its length, and four letters.
const TAIL: usize = 8;

/// Which part of the file is damaged.
#[derive(Debug, Clone)]
pub enum Step {
    /// The pages, and whatever else stands before the footer.
    Data(Damage),
    /// The footer, whose length is true again afterwards.
    Footer(Damage),
    /// Anything.
    File(Damage),
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => damage().prop_map(Step::Data),
        6 => damage().prop_map(Step::Footer),
        1 => damage().prop_map(Step::File),
    ]
}

/// `file` after all of these.
pub fn broken(file: &[u8], steps: &[Step]) -> Vec<u8> {
    let (front, tail) = file.split_at(file.len() - TAIL);
    let length = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
    let (data, footer) = front.split_at(front.len() - length);
    let (mut data, mut footer) = (data.to_vec(), footer.to_vec());
    for step in steps {
        match step {
            Step::Data(damage) => damage.apply(&mut data),
            Step::Footer(damage) => damage.apply(&mut footer),
            Step::File(_) => {}
        }
    }
    let length = (footer.len() as u32).to_le_bytes();
    let mut file = [&data, &footer, &length[..], b"PAR1"].concat();
    for step in steps {
        if let Step::File(damage) = step {
            damage.apply(&mut file);
        }
    }
    file
}

/// Files of every codec and encoding that a column of texts comes in.
pub static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let properties = WriterProperties::builder;
    let encoded = |encoding| {
        properties().set_column_dictionary_enabled("text".into(), false).set_column_encoding("text".into(), encoding)
    };
    let (delta, lengths) = (encoded(Encoding::DELTA_BYTE_ARRAY), encoded(Encoding::DELTA_LENGTH_BYTE_ARRAY));
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(parquet::basic::GzipLevel::default()),
        Compression::BROTLI(parquet::basic::BrotliLevel::default()),
        Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        Compression::LZ4_RAW,
    ];
    let of_codecs = codecs.map(|codec| properties().set_compression(codec));
    let of_encodings = [delta, lengths, properties().set_writer_version(WriterVersion::PARQUET_2_0)];
    of_codecs.into_iter().chain(of_encodings).map(|properties| written(properties.build())).collect()
});

/// Two row groups.
fn written(properties: WriterProperties) -> Vec<u8> {
    let texts = ["good", "bad", "a longer text, of more than 12 bytes", ""];
    let texts: StringArray = (0..40).map(|row| (row % 7 != 3).then_some(texts[row % 4])).collect();
    let kinds: DictionaryArray<Int32Type> = (0..40).map(|row| Some(["a", "b"][row % 2])).collect();
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("text", Arc::new(texts), true),
        ("kind", Arc::new(kinds), true),
        ("id", Arc::new(Int64Array::from_iter_values(0..40)), false),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    for start in [0, 25] {
        writer.write(&rows.slice(start, if start == 0 { 25 } else { 15 })).unwrap();
        writer.flush().unwrap();
    }
    writer.into_inner().unwrap()
}

/// A scored file can be read; one that cannot be scored is named, and leaves a journal at most.
fn check(file: &[u8], runtime: &Runtime) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.parquet", "out.parquet"].map(|name| folder.path().join(name));
    std::fs::write(&input, file).unwrap();
    let scored = async {
        let options = ScoreOptions { text: Some(TextColumns::one("text")), ..ScoreOptions::default() };
        let scored = score_file(Fake::engine(10_000), &input, &output, options);
        tokio::time::timeout(Duration::from_secs(30), scored).await
    };
    match runtime.block_on(scored).map_err(|_| TestCaseError::fail("it hangs"))? {
        Ok(_) => {
            let (before, after) = (rows(&input), rows(&output));
            prop_assert!(before == after && after.is_ok(), "{before:?} became {after:?}");
        }
        Err(error) => {
            let text = error.to_string();
            prop_assert!(matches!(error, Error::File { .. } | Error::Invalid(_)), "{error:?}");
            prop_assert!(text.contains("in.parquet") && !text.contains("bug of textflight"), "{text}");
            let left = names(folder.path());
            let mut expected = vec!["in.parquet".to_owned()];
            if left.len() > 1 {
                expected.push("out.parquet.textflight".to_owned());
                prop_assert_eq!(names(&folder.path().join("out.parquet.textflight")), ["journal"]);
            }
            prop_assert_eq!(left, expected);
        }
    }
    Ok(())
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rows(path: &Path) -> Result<u64, String> {
    ParquetFile::open(path).map(|file| file.rows()).map_err(|error| error.to_string())
}

#[test]
fn parquet_files() {
    let runtime = Runtime::new().unwrap();
    for seed in SEEDS.iter() {
        check(seed, &runtime).unwrap();
    }
    fuzz(500, (any::<Index>(), vec(step(), 1..4)), |(seed, steps)| {
        check(&broken(&SEEDS[seed.index(SEEDS.len())], &steps), &runtime)
    });
}
