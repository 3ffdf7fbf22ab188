use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;
use crate::bulk::{CommitEvery, Share};
use crate::classifier::ModelFacts;
use crate::engine::testing::Fake;
use crate::source::parquet::testing::write;
use crate::store::FileLocation;
use crate::store::testing::unused;
use crate::stream::InFlight;
use crate::table::{OnError, ScoreOptions, TextColumns};

/// A folder with files to look at.
struct Case {
    folder: TempDir,
    job: JobOptions,
}

impl Case {
    fn new(on_error: OnError) -> Self {
        let job = JobOptions {
            score: ScoreOptions { text: Some(TextColumns::one("text")), on_error, ..ScoreOptions::default() },
            truth: None,
            in_flight: InFlight { rows: 512, bytes: 1 << 26 },
            batch_rows: 200,
            commit_every: CommitEvery { rows: 500, time: std::time::Duration::from_hours(1) },
            force: false,
            format: None,
            skip_existing: false,
            stores: unused(),
        };
        Self { folder: tempfile::tempdir().unwrap(), job }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn table(&self, name: &str, column: (&str, ArrayRef)) {
        let batch = RecordBatch::try_from_iter([column]).unwrap();
        write(&self.path(name), &batch, &[batch.num_rows()], WriterProperties::builder().build());
    }

    fn texts(&self, name: &str, texts: impl IntoIterator<Item = Option<&'static str>>) {
        self.table(name, ("text", Arc::new(texts.into_iter().collect::<StringArray>())));
    }

    async fn run(&self, names: &[&str]) -> Result<Estimate> {
        let pair = |name: &&str| Pair {
            input: FileLocation::Path(self.path(name)),
            output: FileLocation::Path(self.path(&format!("{name}.out"))),
            bytes: None,
            share: Share::WHOLE,
            merged: None,
        };
        let engine = Fake::engine(100_000);
        let facts = ModelFacts { info: engine.model().clone(), version: "0af3".to_owned() };
        let model = ScoringModel { scorer: Arc::new(engine), facts };
        dry_run(&model, &names.iter().map(pair).collect(), &self.job, &Progress::silent()).await
    }
}

#[tokio::test]
async fn a_file_whose_sample_fails_fails_as_in_a_run() {
    for (on_error, counted) in [(OnError::Fail, (1, 3)), (OnError::Null, (3, 1))] {
        let case = Case::new(on_error);
        case.texts("a", (0..40).map(|_| Some("good")));
        case.texts("b", (0..40).map(|row| Some(if row == 27 { "unscorable" } else { "bad" })));
        case.table("c", ("text", Arc::new(BinaryArray::from_iter_values([&b"good"[..], b"\xff"]))));
        fs::write(case.path("d"), "no Parquet").unwrap();
        let estimate = case.run(&["a", "b", "c", "d"]).await.unwrap();
        assert_eq!((estimate.files.to_do, estimate.files.failed), counted);
        if on_error == OnError::Null {
            assert_eq!((estimate.rows, estimate.sample.rows, estimate.sample.errors), (82, 82, 2));
            continue;
        }
        let is_told = |what| estimate.failures.iter().any(|failure| failure.error.contains(what));
        for what in ["b: row 27 (counted from 0) cannot be scored", "c: row 1 (counted from 0) is not text"] {
            assert!(is_told(what), "{what}: {:?}", estimate.failures);
        }
        assert_eq!((estimate.rows, estimate.sample.rows, estimate.sample.errors), (40, 40, 0));
        assert_eq!(estimate.bytes, fs::metadata(case.path("a")).unwrap().len());
        let error = case.run(&["b"]).await.unwrap_err();
        assert!(matches!(error, Error::File { .. }), "the only file: {error}");
    }
}

#[tokio::test]
async fn options_are_wrong_where_they_are_for_each_file_that_can_be_read() {
    let case = Case::new(OnError::Fail);
    case.table("a", ("id", Arc::new(Int64Array::from(vec![1]))));
    fs::write(case.path("b"), "no Parquet").unwrap();
    case.texts("c", [Some("unscorable")]);
    let error = case.run(&["a", "b"]).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let estimate = case.run(&["a", "b", "c"]).await.unwrap();
    assert_eq!((estimate.files.to_do, estimate.files.failed), (0, 3));
}

#[tokio::test]
async fn where_there_is_nothing_to_score_nothing_is_measured() {
    let case = Case::new(OnError::Fail);
    case.texts("empty", []);
    let estimate = case.run(&["empty"]).await.unwrap();
    assert_eq!((estimate.rows, estimate.seconds, estimate.rows_per_second), (0, Some(0.0), 0.0));
    case.texts("null", [None, None]);
    let estimate = case.run(&["null"]).await.unwrap();
    assert_eq!((estimate.rows, estimate.sample.texts, estimate.tokens), (2, 0, 0));
}
