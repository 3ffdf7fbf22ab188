//! Runs that end early, models that die, inputs that are damaged or change: no output, and the cause said.

use super::*;

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
