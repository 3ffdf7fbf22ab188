//! Runs that end early, models that die, inputs that are damaged or change: no output, and the cause said.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_leaves_nothing() {
    let case = Case::large();
    fs::write(&case.output, b"old").unwrap();
    let (fake, open) = fake().gated();
    let run = tokio::spawn({
        let (pair, job, engine) = (case.pair(), case.job.clone(), Arc::clone(&fake).start(limits(4096)));
        async move { score_files(&model(engine), &Pairs::from_iter([pair]), &job, None, &Progress::silent()).await }
    });
    fake.has_begun(1).await;
    assert_eq!(case.files().len(), 3, "a temporary file is there");
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert_eq!(case.files(), ["in.parquet", "out.parquet"]);
    assert_eq!(fs::read(&case.output).unwrap(), b"old");
    drop(open);
}

/// 1000 texts of which the 900th kills the model. Each is another, or all would be scored beside it.
fn deadly() -> RecordBatch {
    let text = |row| if row == 900 { "panic".to_owned() } else { format!("text {row}") };
    let texts: StringArray = (0..1000).map(|row| Some(text(row))).collect();
    RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_dies_leaves_its_scores_and_says_why() {
    let case = Case::new(&deadly(), &[600, 400]);
    let error = case.run().await.unwrap_err();
    assert!(matches!(&error, Error::Stopped(cause) if cause.contains("the fake was told to")), "{error}");
    assert_eq!(case.files(), ["in.parquet", "out.parquet.textflight"], "what is scored waits for the next run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_leaves_nothing() {
    let case = Case::large();
    let (pair, job) = (case.pair(), case.job.clone());
    let run = tokio::spawn(async move {
        let progress = Progress::that_panics();
        score_files(&model(engine()), &Pairs::from_iter([pair]), &job, None, &progress).await
    });
    assert!(run.await.unwrap_err().is_panic());
    assert!(!case.output.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changes_under_the_run_is_an_error() {
    let case = Case::large();
    let (fake, open) = fake().gated();
    let run = tokio::spawn({
        let (pair, job, engine) = (case.pair(), case.job.clone(), Arc::clone(&fake).start(limits(4096)));
        async move { score_files(&model(engine), &Pairs::from_iter([pair]), &job, None, &Progress::silent()).await }
    });
    fake.has_begun(1).await;
    let input = fs::File::options().append(true).open(&case.input).unwrap();
    input.set_len(input.metadata().unwrap().len() + 1).unwrap();
    drop(open);
    let error = run.await.unwrap().unwrap_err();
    assert!(error.to_string().ends_with("in.parquet: it changed while it was read; run again"), "{error}");
    assert_eq!(case.files(), ["in.parquet"]);
}

#[tokio::test]
async fn damaged_texts_are_an_error_that_names_the_file() {
    let case = Case::large();
    let mut bytes = fs::read(&case.input).unwrap();
    let text = metadata(&case.input).metadata().row_group(2).column(1).byte_range();
    bytes[text.0 as usize..(text.0 + text.1) as usize].fill(0xff);
    fs::write(&case.input, bytes).unwrap();
    let error = case.run().await.unwrap_err().to_string();
    assert!(error.contains("in.parquet: ") && !case.output.exists(), "{error}");
}

/// Whatever one byte does to a file: an answer, and no output unless the run succeeded.
#[tokio::test(flavor = "multi_thread")]
async fn any_damaged_byte_is_survived() {
    let texts: StringArray = (0..50).map(|row| Some(format!("text {}", row % 7))).collect();
    let case = Case::new(&RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap(), &[20, 30]);
    let bytes = fs::read(&case.input).unwrap();
    let engine = engine();
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            fs::write(&case.input, damaged).unwrap();
            match case.run_on(engine.clone()).await {
                Ok(_) => fs::remove_file(&case.output).unwrap(),
                Err(error) => assert!(error.to_string().contains("in.parquet"), "byte {at}: {error}"),
            }
            assert_eq!(case.files(), ["in.parquet"], "byte {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_dies_is_an_error_that_names_the_file() {
    let error = blocking::<()>(|| panic!("as if a bug")).await.unwrap_err();
    let error = named(Path::new("in.parquet"), error).to_string();
    assert!(error.starts_with("in.parquet: met a bug of textflight: "), "{error}");
    assert!(error.contains("as if a bug"), "{error}");
}

#[tokio::test]
async fn a_row_without_a_score_is_named_as_the_file_counts() {
    let bad = |row| matches!(row, 751 | 991);
    let texts: StringArray =
        (0..1000).map(|row| (row % 3 > 0).then_some(if bad(row) { "unscorable" } else { "text" })).collect();
    let case = Case::new(&RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap(), &[600, 400]);
    let error = case.refused().await;
    assert!(error.starts_with("in.parquet: row 751 (counted from 0) cannot be scored: the model gave [NaN"), "{error}");
}

/// Dropped anywhere and run again, as often as it takes: the same bytes, and nothing else is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_broken_off_goes_on_where_it_was() {
    let mut case = Case::new(&rows(5000), &[2000, 1, 2999]);
    case.job.commit_every.rows = 300;
    let whole = case.run().await.unwrap();
    let expected = fs::read(&case.output).unwrap();
    fs::remove_file(&case.output).unwrap();
    let journal = case.folder.path().join("out.parquet.textflight").join("journal");
    let journal_len = || fs::metadata(&journal).map_or(0, |found| found.len());
    let (mut scored, mut len) = (0, 0);
    for round in 0..5 {
        let (fake, open) = fake().gated();
        let (pair, job, engine) = (case.pair(), case.job.clone(), Arc::clone(&fake).start(limits(4096)));
        let run = tokio::spawn(async move {
            score_files(&model(engine), &Pairs::from_iter([pair]), &job, None, &Progress::silent()).await
        });
        if round == 4 {
            drop(open);
            let summary = run.await.unwrap().unwrap();
            assert_eq!((summary.rows, summary.nulls, &summary.labels), (whole.rows, whole.nulls, &whole.labels));
            assert!(summary.resumed > 0);
        } else {
            while journal_len() <= len {
                let _ = open.try_send(());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            len = journal_len();
            run.abort();
            assert!(run.await.unwrap_err().is_cancelled() && !case.output.exists());
        }
        scored += fake.scored.lock().unwrap().len();
    }
    assert!(fs::read(&case.output).unwrap() == expected);
    assert_eq!(case.files(), ["in.parquet", "out.parquet"]);
    // In each round what is in the engine and what is not committed is done again.
    let texts = 4000;
    assert!(scored < texts + 5 * (512 + 300 + 400), "{scored} texts were scored");
}

#[tokio::test]
async fn the_journal_of_another_job_is_refused_until_it_is_dropped() {
    let mut case = Case::new(&deadly(), &[1000]);
    assert!(matches!(case.run().await, Err(Error::Stopped(_))));
    case.job.score.details = true;
    let error = case.run().await.unwrap_err();
    let expected =
        "journal of another job: options.details was false and is true; run what was begun, or drop it with --force";
    assert!(matches!(&error, Error::Invalid(text) if text.ends_with(expected)), "{error}");
    case.job.force = true;
    assert!(matches!(case.run().await, Err(Error::Stopped(_))), "it began anew, and met the same row");
    // Not even by a job whose output is there.
    case.job.force = false;
    case.job.score.details = false;
    write(&case.input, &rows(3000), &[3000], WriterProperties::builder().build());
    let error = case.run().await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("another job")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_is_copied_to_its_end_though_all_scores_are_there_before() {
    let texts = StringArray::from(vec![None::<&str>; 16]);
    let rest = BinaryArray::from_iter_values((0..16).map(|row| vec![row; 1 << 20]));
    let columns: [(_, ArrayRef); 2] = [("text", Arc::new(texts)), ("rest", Arc::new(rest))];
    let case = Case::new(&RecordBatch::try_from_iter(columns).unwrap(), &[16]);
    for _ in 0..5 {
        assert_eq!(case.run().await.unwrap().rows, 16);
        fs::remove_file(&case.output).unwrap();
    }
}
