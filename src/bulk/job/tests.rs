use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Int64Array, LargeStringArray, ListBuilder, NullArray,
    RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray,
};
use arrow::datatypes::{Field, Float32Type, Int8Type};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;
use crate::bulk::{
    Accuracy, FileCounts, LabelCounts, OutcomeWriter, Pair, Pairs, Progress, Share, Summary, score_files,
};
use crate::engine::Engine;
use crate::engine::testing::{Fake, limits};
use crate::source::parquet::testing::{metadata, read, rows, write};
use crate::store::testing::unused;
use crate::table::{Columns, LabelKind, OnError, TextColumns};

/// Calls a text of an even length EVEN, and the others ODD; sure of it by their length.
fn fake() -> Fake {
    let mut fake = Fake { confidence, ..Fake::default() };
    fake.info.labels = ["EVEN", "ODD"].map(str::to_owned).to_vec();
    fake
}

fn confidence(len: usize) -> f32 {
    1.0 - 1.0 / (len as f32 + 2.0)
}

fn engine() -> Engine {
    Arc::new(fake()).start(limits(4096))
}

fn model(engine: Engine) -> ScoringModel {
    let facts = ModelFacts { info: engine.model().clone(), version: "0af3".to_owned() };
    ScoringModel { scorer: Arc::new(engine), facts }
}

/// A folder with an input of 3,000 rows, and the job to score it.
struct Case {
    folder: TempDir,
    input: PathBuf,
    output: PathBuf,
    share: Share,
    job: JobOptions,
}

impl Case {
    fn new(batch: &RecordBatch, groups: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
        write(&input, batch, groups, WriterProperties::builder().build());
        let job = JobOptions {
            score: ScoreOptions { text: Some(TextColumns::one("text")), ..ScoreOptions::default() },
            truth: None,
            in_flight: InFlight { rows: 512, bytes: 1 << 26 },
            batch_rows: 200,
            commit_every: CommitEvery { rows: 500, time: Duration::from_hours(1) },
            force: false,
            format: None,
            skip_existing: false,
            stores: unused(),
        };
        Self { folder, input, output, share: Share::WHOLE, job }
    }

    fn pair(&self) -> Pair {
        let [input, output] = [&self.input, &self.output].map(|path| FileLocation::Path(path.clone()));
        Pair { input, output, bytes: None, share: self.share, merged: None }
    }

    fn large() -> Self {
        Self::new(&rows(3000), &[1000, 1, 1999])
    }

    async fn run(&self) -> Result<Summary> {
        self.run_on(engine()).await
    }

    async fn run_on(&self, engine: Engine) -> Result<Summary> {
        score_files(&model(engine), &Pairs::from_iter([self.pair()]), &self.job, None, &Progress::silent()).await
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
    let (old, new) = (read(&case.input), read(&case.output));
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
    assert_eq!(summary.labels, LabelCounts(counts));
    assert_eq!(summary.accuracy, None);
    assert_eq!(case.files(), ["in.parquet", "out.parquet"]);
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_file() {
    // More than a page of rows in the first row group, none a multiple of a step.
    let mut case = Case::new(&rows(25_000), &[21_000, 1, 3999]);
    check_batches(&mut case, &[(1, 1, 1), (7, 100_000, 1 << 26), (100_000, 1, 1 << 26), (7, 100_000, 1)]).await;
    let named = |names: &[&str]| Columns::Named(names.iter().map(|name| (*name).to_owned()).collect());
    // A dictionary is one of each batch.
    case.job.score.columns = named(&["text", "id", "flag", "long", "list", "struct", "map"]);
    check_batches(&mut case, &[(7, 100_000, 1 << 26), (100_000, 1, 1 << 26)]).await;
    // What stands in place of other nulls is left over from the batch.
    case.job.score.columns = named(&["text", "id", "long", "map"]);
    for name in ["out.arrow", "out.arrows"] {
        case.output = case.folder.path().join(name);
        check_batches(&mut case, &[(7, 100_000, 1 << 26), (100_000, 1, 1 << 26)]).await;
    }
}

async fn check_batches(case: &mut Case, others: &[(usize, usize, usize)]) {
    case.job.batch_rows = 200;
    case.run().await.unwrap();
    let expected = fs::read(&case.output).unwrap();
    for &(batch_rows, rows, bytes) in others {
        fs::remove_file(&case.output).unwrap();
        case.job.batch_rows = batch_rows;
        case.job.in_flight = InFlight { rows, bytes };
        case.run().await.unwrap();
        assert!(fs::read(&case.output).unwrap() == expected, "batches of {batch_rows} in {:?}", case.output);
    }
}

#[tokio::test]
async fn every_option_of_the_contract() {
    let mut case = Case::new(&rows(20), &[20]);
    case.job.score = ScoreOptions {
        text: Some(TextColumns::one("long")),
        labels: LabelKind::Id,
        details: true,
        probabilities: true,
        label_column: "class".to_owned(),
        confidence_column: "sure".to_owned(),
        ..ScoreOptions::default()
    };
    case.run().await.unwrap();
    let new = read(&case.output);
    let names: Vec<_> = new.schema_ref().fields().iter().skip(11).map(|field| field.name().clone()).collect();
    assert_eq!(names, ["class", "sure", "tokens", "truncated", "probabilities"]);
    assert_eq!(new["class"].as_ref(), &Int64Array::from([0, 1].repeat(10)) as &dyn Array);
}

/// Three rows: a struct with a text, a list of texts, and bytes of which one is no text.
fn nested() -> RecordBatch {
    let titles: ArrayRef = Arc::new(StringArray::from(vec![Some("odd"), None, Some("even")]));
    let field = |name, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
    let post: ArrayRef = Arc::new(StructArray::from(vec![(field("title", &titles), titles)]));
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("odd"), None, Some("even")]);
    tags.append_null();
    tags.append_value(std::iter::empty::<Option<&str>>());
    let raw: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"odd", b"\xff", b"even"]));
    let tags: ArrayRef = Arc::new(tags.finish());
    RecordBatch::try_from_iter_with_nullable([("post", post, true), ("tags", tags, true), ("raw", raw, true)]).unwrap()
}

#[tokio::test]
async fn texts_in_structs_lists_and_several_columns() {
    let mut case = Case::new(&nested(), &[2, 1]);
    let names = ["post.title", "tags", "raw"].map(str::to_owned).to_vec();
    case.job.score.text = Some(TextColumns::Several(names));
    let error = case.run().await.unwrap_err().to_string();
    assert!(error.contains("in.parquet: row 1 (counted from 0) is not text: column \"raw\""), "{error}");
    case.job.score.on_error = OnError::Null;
    let summary = case.run().await.unwrap();
    assert_eq!((summary.rows, summary.nulls, summary.errors), (3, 2, 1), "a title, a tag, and what is no text");
    let found = read(&case.output);
    assert_eq!(found.project(&[0, 1, 2]).unwrap(), read(&case.input));
    let labels = |name: &str| found[name].as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(labels("post.title_label"), [Some("ODD"), None, Some("EVEN")]);
    assert_eq!(labels("raw_label"), [Some("ODD"), None, Some("EVEN")]);
    let tags = found["tags_label"].as_list::<i32>();
    let first = tags.value(0);
    assert_eq!(first.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("ODD"), None, Some("EVEN")]);
    assert!(tags.is_null(1) && tags.value(2).is_empty());
    assert_eq!(found["tags_error"].null_count() + found["post.title_error"].null_count(), 6);
    assert!(labels("raw_error")[1].unwrap().starts_with("invalid utf-8"));
}

#[tokio::test]
async fn what_files_cannot_have_is_refused() {
    let mut case = Case::new(&nested(), &[3]);
    case.job.score.text = Some(TextColumns::one("tags"));
    case.job.truth = Some("tags".to_owned());
    assert!(case.run().await.is_err());
}

#[tokio::test]
async fn no_rows_are_a_file_too() {
    let case = Case::new(&rows(0), &[]);
    let summary = case.run().await.unwrap();
    assert_eq!(summary.rows, 0);
    assert_eq!(read(&case.output).num_columns(), 13);
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
        let new = read(&case.output);
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
        assert_eq!(read(&case.output)["label"].null_count(), 3);
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
    case.job.score.text = Some(TextColumns::one("review"));
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: column \"review\" not found; string columns: text, kind, long"), "{error}");
    case.job.score.text = Some(TextColumns::one("text"));
    case.job.score.label_column = "id".to_owned();
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: the input already has a column \"id\""), "{error}");
}

#[tokio::test]
async fn an_output_that_cannot_be_is_refused_before_any_work() {
    let mut case = Case::new(&rows(5), &[5]);
    case.output = case.input.clone();
    let before = fs::read(&case.input).unwrap();
    assert_eq!(case.refused().await, "-o in.parquet is the input in.parquet: name another file");
    assert_eq!(fs::read(&case.input).unwrap(), before);
    case.output = case.folder.path().to_owned();
    assert!(case.refused().await.ends_with("a folder; name the file to write"));
}

#[tokio::test]
async fn what_one_file_lacks_is_no_matter_of_the_others() {
    let case = Case::large();
    let path = |name: &str| case.folder.path().join(name);
    let pair = |number| Pair {
        input: FileLocation::Path(path(&format!("in{number}.parquet"))),
        output: FileLocation::Path(path(&format!("out{number}.parquet"))),
        bytes: None,
        share: Share::WHOLE,
        merged: None,
    };
    let pairs = [pair(1), case.pair(), pair(2), pair(3)];
    fs::write(pairs[2].input.name(), "no Parquet file").unwrap();
    let batch = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    write(&pairs[3].input.name(), &batch, &[1], WriterProperties::builder().build());
    let run = async |pairs: &[Pair], report: &str| {
        let report = OutcomeWriter::create(&path(report)).unwrap();
        score_files(&model(engine()), &pairs.iter().cloned().collect(), &case.job, Some(report), &Progress::silent())
            .await
    };
    let summary = run(&pairs, "report.json").await.unwrap();
    assert_eq!((summary.files.done, summary.files.failed, summary.failures.len()), (1, 3, 3));
    assert_eq!(case.files(), ["in.parquet", "in2.parquet", "in3.parquet", "out.parquet", "report.json"]);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(path("report.json")).unwrap()).unwrap();
    let outcomes = report["files"].as_array().unwrap().iter();
    let outcomes: Vec<_> = outcomes.map(|file| (file["outcome"].as_str().unwrap(), file["kind"].as_str())).collect();
    let failed = |kind| ("failed", Some(kind));
    assert_eq!(outcomes, [failed("file"), ("scored", None), failed("file"), failed("invalid")]);
    assert_eq!(report["summary"]["files"], serde_json::json!({"done": 1, "skipped": 0, "failed": 3}));
    // Where the options are wrong for every file, that is what is said.
    let error = run(&[pair(3), pair(3)], "report.json").await.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text.contains("in3.parquet: column \"text\" not found")),
        "{error}"
    );
    // Also beside one that cannot be read, of which nobody knows.
    let error = run(&[pair(2), pair(3)], "report.json").await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}

#[tokio::test]
async fn what_is_finished_is_skipped_and_what_is_another_is_made_again() {
    let mut case = Case::large();
    case.run().await.unwrap();
    let made = || fs::metadata(&case.output).unwrap().modified().unwrap();
    let first = made();
    let summary = case.run().await.unwrap();
    assert_eq!((summary.rows, summary.files), (0, FileCounts { skipped: 1, ..FileCounts::default() }));
    assert_eq!((made(), case.files()), (first, vec!["in.parquet".to_owned(), "out.parquet".to_owned()]));
    let expected = fs::read(&case.output).unwrap();
    // The same file elsewhere is the same job.
    let input = case.folder.path().join("moved.parquet");
    fs::rename(&case.input, &input).unwrap();
    case.input = input;
    assert_eq!(case.run().await.unwrap().files.skipped, 1);
    for details in [true, false] {
        case.job.score.details = details;
        assert_eq!(case.run().await.unwrap().files.done, 1);
    }
    assert!(fs::read(&case.output).unwrap() == expected);
    fs::write(&case.output, "something else").unwrap();
    assert_eq!(case.run().await.unwrap().files.done, 1);
    assert!(fs::read(&case.output).unwrap() == expected);
}

mod trouble;
