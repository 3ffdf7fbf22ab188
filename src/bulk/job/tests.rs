use super::*;
use crate::Error;
use crate::bulk::testing::{metadata, read, rows, write};
use crate::bulk::{Accuracy, Labels};
use crate::classifier::plan::BatchLimits;
use crate::classifier::{Encoding, ModelInfo, Score};
use crate::engine::{EngineLimits, Scorer};
use crate::table::LabelKind;
use arrow::array::{
    Array, AsArray, DictionaryArray, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{Float32Type, Int8Type};
use parquet::file::properties::WriterProperties;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Calls a text with an even number of bytes class 0, and the others class 1; sure of it by their length.
struct ByLength;

impl Scorer for ByLength {
    fn classes(&self) -> usize {
        2
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        Ok(Encoding { ids: vec![text.len() as u32], tokens: 1 })
    }

    fn score(&self, sequences: &[&[u32]]) -> Result<Vec<Score>> {
        let score = |sequence: &&[u32]| {
            let label = sequence[0] % 2;
            let mut probabilities = [0.0; 2];
            probabilities[label as usize] = confidence(sequence[0] as usize);
            Score { label, probabilities: probabilities.into() }
        };
        Ok(sequences.iter().map(score).collect())
    }
}

fn confidence(len: usize) -> f32 {
    1.0 - 1.0 / (len as f32 + 2.0)
}

/// Does what `ByLength` does once the test says so; dies if the test has hung up.
struct Gated {
    reached: Mutex<SyncSender<()>>,
    gate: Mutex<Receiver<()>>,
}

impl Scorer for Gated {
    fn classes(&self) -> usize {
        2
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        ByLength.encode(text)
    }

    fn score(&self, sequences: &[&[u32]]) -> Result<Vec<Score>> {
        let _ = self.reached.lock().unwrap_or_else(PoisonError::into_inner).send(());
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
        gate.expect("the test hung up");
        ByLength.score(sequences)
    }
}

fn engine(scorer: impl Scorer) -> Engine {
    let info = ModelInfo {
        name: "lengths".to_owned(),
        revision: None,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        labels: ["EVEN", "ODD"].map(str::to_owned).to_vec(),
        max_length: 128,
    };
    let one = NonZeroUsize::MIN;
    let limits = EngineLimits {
        threads: one,
        batch: BatchLimits { rows: 32, tokens: 4096 },
        window_rows: one.saturating_add(255),
        queue_rows: one.saturating_add(4095),
    };
    Engine::start(Arc::new(scorer), info, limits).unwrap()
}

/// A folder with an input of 3,000 rows, and the job to score it.
struct Case {
    folder: TempDir,
    job: FileJob,
}

impl Case {
    fn new(batch: &RecordBatch, groups: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
        write(&input, batch, groups, WriterProperties::builder().build());
        let options = ScoreOptions { text: Some("text".to_owned()), ..ScoreOptions::default() };
        let job = FileJob { input, output, options, truth: None, rows_in_flight: 512, batch_rows: 200 };
        Self { folder, job }
    }

    fn large() -> Self {
        Self::new(&rows(3000), &[1000, 1, 1999])
    }

    async fn run(&self) -> Result<Summary> {
        self.run_on(engine(ByLength)).await
    }

    async fn run_on(&self, engine: Engine) -> Result<Summary> {
        score_file(engine, &self.job, &Progress::silent()).await
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs to an error, which must leave nothing but the input, and the cause without the folder's name.
    async fn refused(&self) -> String {
        let error = self.run().await.unwrap_err();
        assert_eq!(self.files(), ["in.parquet"]);
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[tokio::test]
async fn every_row_gets_its_own_score_and_keeps_the_rest() {
    let case = Case::large();
    let summary = case.run().await.unwrap();
    let (old, new) = (read(&case.job.input), read(&case.job.output));
    assert_eq!(old.columns(), &new.columns()[..old.num_columns()]);
    let (texts, labels) = (old["text"].as_string::<i32>(), new["label"].as_string::<i32>());
    let confidences = new["confidence"].as_primitive::<Float32Type>();
    for row in 0..3000 {
        let text = texts.is_valid(row).then(|| texts.value(row).len());
        let label = labels.is_valid(row).then(|| labels.value(row));
        assert_eq!(label, text.map(|len| ["EVEN", "ODD"][len % 2]), "row {row}");
        let sure = confidences.is_valid(row).then(|| confidences.value(row));
        assert_eq!(sure, text.map(confidence), "row {row}");
    }
    let count = |name| labels.iter().flatten().filter(|label| *label == name).count() as u64;
    assert_eq!(summary.rows, 3000);
    assert_eq!(summary.nulls, 600);
    let counts = vec![("EVEN".to_owned(), count("EVEN")), ("ODD".to_owned(), count("ODD"))];
    assert_eq!(summary.labels, Labels(counts));
    assert_eq!(summary.accuracy, None);
    assert_eq!(case.files(), ["in.parquet", "out.parquet"]);
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_file() {
    let mut case = Case::large();
    case.run().await.unwrap();
    let expected = fs::read(&case.job.output).unwrap();
    for (batch_rows, rows_in_flight) in [(1, 1), (7, 100_000), (100_000, 1)] {
        case.job.batch_rows = batch_rows;
        case.job.rows_in_flight = rows_in_flight;
        case.run().await.unwrap();
        let rows = read(&case.job.output);
        fs::write(case.folder.path().join("expected.parquet"), &expected).unwrap();
        assert_eq!(rows, read(&case.folder.path().join("expected.parquet")));
    }
}

#[tokio::test]
async fn every_option_of_the_contract() {
    let mut case = Case::new(&rows(20), &[20]);
    case.job.options = ScoreOptions {
        text: Some("long".to_owned()),
        labels: LabelKind::Id,
        details: true,
        probabilities: true,
        label_column: "class".to_owned(),
        confidence_column: "sure".to_owned(),
    };
    case.run().await.unwrap();
    let new = read(&case.job.output);
    let names: Vec<_> = new.schema_ref().fields().iter().skip(11).map(|field| field.name().clone()).collect();
    assert_eq!(names, ["class", "sure", "tokens", "truncated", "probabilities"]);
    assert_eq!(new["class"].as_ref(), &Int64Array::from([0, 1].repeat(10)) as &dyn Array);
}

#[tokio::test]
async fn no_rows_are_a_file_too() {
    let case = Case::new(&rows(0), &[]);
    let summary = case.run().await.unwrap();
    assert_eq!(summary.rows, 0);
    assert_eq!(read(&case.job.output).num_columns(), 13);
}

#[tokio::test]
async fn text_of_every_string_type() {
    let texts = ["odd", "even", "odd"].map(Some).to_vec();
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(LargeStringArray::from(texts.clone())),
        Arc::new(StringViewArray::from(texts.clone())),
        Arc::new(texts.into_iter().collect::<DictionaryArray<Int8Type>>()),
    ];
    for column in columns {
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        let case = Case::new(&batch, &[1, 2]);
        case.run().await.unwrap();
        let new = read(&case.job.output);
        assert_eq!(new["text"].data_type(), batch["text"].data_type());
        assert_eq!(new["label"].as_ref(), &StringArray::from(vec!["ODD", "EVEN", "ODD"]) as &dyn Array);
    }
}

#[tokio::test]
async fn a_column_of_nulls_has_no_scores() {
    let columns: [ArrayRef; 2] = [Arc::new(NullArray::new(3)), Arc::new(StringArray::from(vec![None::<&str>; 3]))];
    for column in columns {
        let batch = RecordBatch::try_from_iter_with_nullable([("text", column, true)]).unwrap();
        let case = Case::new(&batch, &[3]);
        let summary = case.run().await.unwrap();
        assert_eq!((summary.rows, summary.nulls), (3, 3));
        assert_eq!(read(&case.job.output)["label"].null_count(), 3);
    }
}

fn truths(truth: ArrayRef) -> Case {
    let texts = StringArray::from(vec![Some("odd"), Some("even"), None, Some("even")]);
    // The truth before the text: the order of the columns must not matter.
    let batch = RecordBatch::try_from_iter([("truth", truth), ("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let mut case = Case::new(&batch, &[2, 2]);
    case.job.truth = Some("truth".to_owned());
    case
}

#[tokio::test]
async fn the_truth_column_gives_the_accuracy() {
    let columns: [ArrayRef; 2] =
        [Arc::new(Int64Array::from(vec![1, 1, 1, 0])), Arc::new(StringArray::from(vec!["ODD", "ODD", "ODD", "EVEN"]))];
    for column in columns {
        let summary = truths(column).run().await.unwrap();
        assert_eq!(summary.accuracy, Some(Accuracy { right: 2, judged: 3 }));
        assert!(summary.to_string().ends_with("; accuracy 66.7% (2 of 3)"), "{summary}");
    }
}

#[tokio::test]
async fn the_text_may_be_its_own_truth() {
    let mut case = truths(Arc::new(Int64Array::from(vec![0; 4])));
    case.job.truth = Some("text".to_owned());
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: truth column \"text\" holds \"odd\", which is no class"), "{error}");
}

#[tokio::test]
async fn a_wrong_truth_is_refused_and_leaves_nothing() {
    let error = truths(Arc::new(Int64Array::from(vec![1, 0, 2, 0]))).refused().await;
    assert_eq!(error, "in.parquet: truth column \"truth\" holds 2, which is no class; classes: 0 EVEN, 1 ODD");
    let mut case = truths(Arc::new(Int64Array::from(vec![0; 4])));
    case.job.truth = Some("gold".to_owned());
    assert!(case.refused().await.starts_with("in.parquet: truth column \"gold\" not found"));
}

#[tokio::test]
async fn what_the_schema_forbids_is_refused() {
    let mut case = Case::new(&rows(5), &[5]);
    case.job.options.text = Some("review".to_owned());
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: column \"review\" not found; string columns: text, kind, long"), "{error}");
    case.job.options.text = Some("text".to_owned());
    case.job.options.label_column = "id".to_owned();
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: the input already has a column \"id\""), "{error}");
}

#[tokio::test]
async fn an_output_that_cannot_be_is_refused_before_any_work() {
    let mut case = Case::new(&rows(5), &[5]);
    case.job.output = case.job.input.clone();
    let before = fs::read(&case.job.input).unwrap();
    assert_eq!(case.refused().await, "-o in.parquet is the input in.parquet: name another file");
    assert_eq!(fs::read(&case.job.input).unwrap(), before);
    case.job.output = case.folder.path().join("missing").join("out.parquet");
    assert_eq!(case.refused().await, "-o missing/out.parquet: the folder missing does not exist");
}

/// An engine that waits at each batch: it says that it is there, and goes on once told.
fn gated() -> (Engine, Receiver<()>, SyncSender<()>) {
    let ((reached, at_gate), (open, gate)) = (sync_channel(4096), sync_channel(4096));
    (engine(Gated { reached: Mutex::new(reached), gate: Mutex::new(gate) }), at_gate, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_leaves_nothing() {
    let case = Case::large();
    fs::write(&case.job.output, b"old").unwrap();
    let (engine, at_gate, open) = gated();
    let run = tokio::spawn({
        let job = case.job.clone();
        async move { score_file(engine, &job, &Progress::silent()).await }
    });
    spawn_blocking(move || at_gate.recv().unwrap()).await.unwrap();
    assert_eq!(case.files().len(), 3, "a temporary file is there");
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert_eq!(case.files(), ["in.parquet", "out.parquet"]);
    assert_eq!(fs::read(&case.job.output).unwrap(), b"old");
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_dies_leaves_nothing_and_says_why() {
    let case = Case::large();
    let (engine, _at_gate, open) = gated();
    drop(open);
    let error = score_file(engine, &case.job, &Progress::silent()).await.unwrap_err();
    assert!(matches!(&error, Error::Stopped(cause) if cause.contains("the test hung up")), "{error}");
    assert_eq!(case.files(), ["in.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_leaves_nothing() {
    struct Panics;
    impl std::io::Write for Panics {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("as if a bug");
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let case = Case::large();
    let job = case.job.clone();
    let run = tokio::spawn(async move {
        let progress = Progress::lines(Box::new(Panics), Duration::ZERO);
        score_file(engine(ByLength), &job, &progress).await
    });
    assert!(run.await.unwrap_err().is_panic());
    assert_eq!(case.files(), ["in.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changes_under_the_run_is_an_error() {
    let case = Case::large();
    let (engine, at_gate, open) = gated();
    let run = tokio::spawn({
        let job = case.job.clone();
        async move { score_file(engine, &job, &Progress::silent()).await }
    });
    spawn_blocking(move || at_gate.recv().unwrap()).await.unwrap();
    let input = fs::File::options().append(true).open(&case.job.input).unwrap();
    input.set_len(input.metadata().unwrap().len() + 1).unwrap();
    for _ in 0..3000 {
        // Fails once the run has ended.
        let _ = open.send(());
    }
    let error = run.await.unwrap().unwrap_err();
    assert!(error.to_string().ends_with("in.parquet: it changed while it was read; run again"), "{error}");
    assert_eq!(case.files(), ["in.parquet"]);
}

#[tokio::test]
async fn several_files_are_looked_at_before_the_first_is_scored() {
    let case = Case::large();
    let mut other = case.job.clone();
    other.input = case.folder.path().join("in2.parquet");
    other.output = case.folder.path().join("out2.parquet");
    let jobs = [case.job.clone(), other.clone()];
    let run = async || score_files(engine(ByLength), &jobs, &Progress::silent()).await;
    let error = run().await.unwrap_err();
    assert!(error.to_string().contains("in2.parquet: No such file"), "{error}");
    assert_eq!(case.files(), ["in.parquet"]);
    write(&other.input, &rows(10), &[10], WriterProperties::builder().build());
    let summary = run().await.unwrap();
    assert_eq!(summary.rows, 3010);
    assert_eq!(summary.nulls, 602);
    assert_eq!(case.files(), ["in.parquet", "in2.parquet", "out.parquet", "out2.parquet"]);
}

#[tokio::test]
async fn damaged_texts_are_an_error_that_names_the_file() {
    let case = Case::large();
    let mut bytes = fs::read(&case.job.input).unwrap();
    let text = metadata(&case.job.input).metadata().row_group(2).column(1).byte_range();
    bytes[text.0 as usize..(text.0 + text.1) as usize].fill(0xff);
    fs::write(&case.job.input, bytes).unwrap();
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: "), "{error}");
}

/// Whatever one byte does to a file: an answer, and no output unless the run succeeded.
#[tokio::test(flavor = "multi_thread")]
async fn any_damaged_byte_is_survived() {
    let texts: StringArray = (0..50).map(|row| Some(format!("text {}", row % 7))).collect();
    let case = Case::new(&RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap(), &[20, 30]);
    let bytes = fs::read(&case.job.input).unwrap();
    let engine = engine(ByLength);
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            fs::write(&case.job.input, damaged).unwrap();
            match case.run_on(engine.clone()).await {
                Ok(_) => fs::remove_file(&case.job.output).unwrap(),
                Err(error) => assert!(error.to_string().contains("in.parquet"), "byte {at}: {error}"),
            }
            assert_eq!(case.files(), ["in.parquet"], "byte {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_dies_is_an_error_that_names_the_file() {
    let error = blocking::<()>(Path::new("in.parquet"), || panic!("as the reader does")).await.unwrap_err().to_string();
    assert!(error.starts_with("in.parquet: damaged, or met a bug of textflight: "), "{error}");
    assert!(error.contains("as the reader does"), "{error}");
}
