//! The engine over devices of their own: threads that only run batches, memory that ends, devices that are lost.

use std::sync::Mutex;

use super::*;

/// Two threads of each scorer's own.
pub fn own_runners() -> EngineLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    EngineLimits { runners: Runners::Own(number(2)), ..limits(2) }
}

#[tokio::test]
async fn devices_share_the_batches_that_others_tokenize() {
    let fakes: Vec<Arc<Fake>> = vec![Arc::default(), Arc::default()];
    let scorers = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Scorer>).collect();
    let limits = EngineLimits { queue_rows: NonZeroUsize::new(10_000).unwrap(), ..own_runners() };
    let engine = Engine::start(scorers, limits).unwrap();
    assert_eq!(engine.model().device, "cpu,cpu");
    // Distinct, of 5 to 9 characters, so that nobody can take all at once.
    let column =
        || -> StringViewArray { (0..3000).map(|row| Some(format!("{row:04}{}", &"eeeee"[..=row % 5]))).collect() };
    let (a, b, c) = tokio::join!(
        engine.score(column(), Lane::Bulk),
        engine.score(column(), Lane::Interactive),
        engine.score(column(), Lane::Bulk)
    );
    for scores in [a, b, c] {
        let scores = scores.unwrap();
        assert!((0..3000).all(|row| scores.label(row) == Some((row % 5 + 1) % 2)));
    }
    assert!(fakes.iter().all(|fake| !fake.batches.lock().unwrap().is_empty()));
}

/// Distinct texts, so many.
fn distinct(rows: usize) -> StringViewArray {
    (0..rows).map(|row| Some(format!("text {row:04}"))).collect()
}

/// Waits until so many rows of a lane are tokenized.
async fn tokenized(engine: &Engine, lane: Lane, rows: usize) {
    let tokenized = async {
        while engine.shared.queue.rows(lane).0 < rows {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tokenized).await.expect("nobody tokenizes ahead");
}

#[tokio::test]
async fn a_whole_batch_is_put_behind_the_one_that_a_device_computes_and_no_part_of_one() {
    let (fake, open) = Fake::default().gated();
    let engine = Arc::clone(&fake).start(own_runners());
    let first = queued(&engine, vec![Some("first")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let second = queued(&engine, vec![Some("second")], Lane::Bulk).await;
    tokenized(&engine, Lane::Bulk, 1).await;
    assert_eq!(fake.begun.load(Ordering::SeqCst), 1);
    let rest = tokio::spawn({
        let engine = engine.clone();
        async move { engine.score(distinct(80), Lane::Bulk).await }
    });
    fake.has_begun(2).await;
    tokenized(&engine, Lane::Bulk, 16).await;
    assert_eq!(fake.begun.load(Ordering::SeqCst), 2, "each thread has one");
    open.send(()).unwrap();
    open.send(()).unwrap();
    let both = async {
        while fake.batches.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("a batch is not run");
    let mut batches = fake.batches.lock().unwrap()[..2].to_vec();
    batches.sort_unstable();
    assert_eq!(batches, [1, 4]);
    drop(open);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(rest.await.unwrap().unwrap().len(), 80);
}

#[tokio::test]
async fn idle_devices_share_a_small_table() {
    let (fakes, gates): (Vec<_>, Vec<_>) = (0..2).map(|_| Fake::default().gated()).unzip();
    let scorers = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Scorer>).collect();
    let engine = Engine::start(scorers, own_runners()).unwrap();
    // They fit one batch.
    let table = tokio::spawn(async move { engine.score(distinct(4), Lane::Bulk).await });
    for fake in &fakes {
        fake.has_begun(1).await;
    }
    drop(gates);
    assert_eq!(table.await.unwrap().unwrap().len(), 4);
    assert!(fakes.iter().all(|fake| *fake.batches.lock().unwrap() == [2]));
}

/// Once there are requests, none waits for more than the batch that runs.
#[tokio::test]
async fn a_request_waits_for_one_batch_of_a_table() {
    let (fake, open) = Fake::default().gated();
    let engine =
        Arc::clone(&fake).start(EngineLimits { queue_rows: NonZeroUsize::new(1000).unwrap(), ..own_runners() });
    let mut request = queued(&engine, vec![Some("request")], Lane::Interactive).await;
    fake.has_begun(1).await;
    let table = tokio::spawn({
        let engine = engine.clone();
        async move { engine.score(distinct(1000), Lane::Bulk).await }
    });
    tokenized(&engine, Lane::Bulk, 16).await;
    for round in 0..10 {
        open.send(()).unwrap();
        request.await.unwrap().unwrap();
        // A batch of the table is with the device from now on, and many wait.
        let begun = 2 * round + 2;
        fake.has_begun(begun).await;
        tokenized(&engine, Lane::Bulk, 16).await;
        request = queued(&engine, vec![Some("request")], Lane::Interactive).await;
        tokenized(&engine, Lane::Interactive, 1).await;
        assert_eq!(fake.begun.load(Ordering::SeqCst), begun, "another batch of the table was put behind it");
        open.send(()).unwrap();
        fake.has_begun(begun + 1).await;
    }
    drop(open);
    request.await.unwrap().unwrap();
    assert_eq!(table.await.unwrap().unwrap().len(), 1000);
}

#[tokio::test]
async fn a_batch_without_memory_is_run_in_smaller_ones() {
    for limits in [limits(2), own_runners()] {
        let engine = Arc::new(Fake { memory: Some(9), ..Fake::default() }).start(limits);
        let column = ["aaaaaa", "bbbbb", "cccc", "ddd", "ee", "f", "gggggg", "hhhhh"].map(Some).to_vec();
        let scores = score(&engine, column.clone(), Lane::Bulk).await.unwrap();
        for (row, text) in column.iter().enumerate() {
            assert_eq!(scores.label(row), text.map(|text| text.len() % 2), "row {row}");
        }
        assert_eq!(engine.health(), Health::Serving);
    }
}

#[tokio::test]
async fn one_text_without_memory_fails_its_job_alone_and_is_named() {
    let (fake, open) = Fake { memory: Some(4), ..Fake::default() }.gated();
    let engine = start(Arc::clone(&fake), 1);
    let first = queued(&engine, vec![Some("a")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let good = queued(&engine, vec![Some("ok")], Lane::Bulk).await;
    let wrong = queued(&engine, vec![Some("ok"), Some("far too long")], Lane::Bulk).await;
    drop(open);
    assert!(first.await.unwrap().is_ok() && good.await.unwrap().is_ok());
    let error = wrong.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Unscorable { row: 1, cause } if cause == "no memory"), "{error:?}");
}

#[tokio::test]
async fn a_lost_device_stops_the_engine() {
    for limits in [limits(1), own_runners()] {
        let engine = Arc::new(Fake::default()).start(limits);
        let error = score(&engine, vec![Some("lost")], Lane::Bulk).await.unwrap_err();
        assert!(matches!(&error, Error::Stopped(cause) if cause == "the GPU is lost"), "{error:?}");
        assert!(engine.died().await.to_string().contains("the GPU is lost"));
        assert_eq!(engine.health(), Health::Dead("the GPU is lost".to_owned()));
        let error = score(&engine, vec![Some("a")], Lane::Interactive).await.unwrap_err();
        assert!(matches!(error, Error::Stopped(_)), "{error:?}");
    }
}

/// A scorer whose tokenizer waits at the text `held`: it says so to the one, and goes on at a word from the other.
fn holding() -> (Arc<Fake>, oneshot::Receiver<()>, std::sync::mpsc::SyncSender<()>) {
    let (here, tokenizing) = oneshot::channel();
    let (go_on, go) = std::sync::mpsc::sync_channel(1);
    (Arc::new(Fake { held: Mutex::new(Some((here, go))), ..Fake::default() }), tokenizing, go_on)
}

#[tokio::test]
async fn requests_overtake_a_long_text_in_either_lane() {
    for lane in [Lane::Interactive, Lane::Bulk] {
        let (fake, tokenizing, go_on) = holding();
        let engine = Arc::clone(&fake).start(limits(1));
        let held = queued(&engine, vec![Some("held")], lane).await;
        tokenizing.await.unwrap();
        let short = queued(&engine, vec![Some("short")], Lane::Interactive).await;
        go_on.send(()).unwrap();
        assert_eq!(held.await.unwrap().unwrap().len() + short.await.unwrap().unwrap().len(), 2);
        assert_eq!(*fake.scored.lock().unwrap(), ["short", "held"], "{lane:?}");
    }
}

#[tokio::test]
async fn what_is_tokenized_while_the_device_is_lost_is_answered() {
    let (fake, tokenizing, go_on) = holding();
    let engine = fake.start(own_runners());
    let held = queued(&engine, vec![Some("held")], Lane::Bulk).await;
    tokenizing.await.unwrap();
    let error = score(&engine, vec![Some("lost")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error:?}");
    drop(go_on);
    let error = held.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Stopped(cause) if cause == "the GPU is lost"), "{error:?}");
}

#[tokio::test]
async fn batches_that_were_too_large_for_a_device_that_is_lost_are_answered() {
    let (fake, open) = Fake { memory: Some(5), ..Fake::default() }.gated();
    // Two rows are a whole batch, which is put behind the first.
    let engine = Arc::clone(&fake).start(EngineLimits { batch: BatchLimits { rows: 2, tokens: 64 }, ..own_runners() });
    let too_large = queued(&engine, vec![Some("aaa"), Some("bbb")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let lost = queued(&engine, vec![Some("lost"), Some("a")], Lane::Bulk).await;
    fake.has_begun(2).await;
    drop(open);
    for job in [too_large, lost] {
        match tokio::time::timeout(Duration::from_secs(20), job).await.expect("nobody answers").unwrap() {
            // It may have been run in halves before.
            Ok(scores) => assert_eq!(scores.len(), 2),
            Err(error) => assert!(matches!(&error, Error::Stopped(cause) if cause == "the GPU is lost"), "{error:?}"),
        }
    }
    assert!(engine.died().await.to_string().contains("the GPU is lost"));
}

#[tokio::test]
async fn threads_end_with_a_queue_of_unwanted_jobs() {
    let (fake, tokenizing, go_on) = holding();
    let engine = Arc::clone(&fake).start(own_runners());
    let mut jobs = vec![queued(&engine, vec![Some("held"), Some("a")], Lane::Bulk).await];
    tokenizing.await.unwrap();
    for _ in 0..20 {
        jobs.push(queued(&engine, vec![Some("b")], Lane::Bulk).await);
    }
    for job in jobs {
        job.abort();
        let _ = job.await;
    }
    drop(engine);
    drop(go_on);
    threads_end(&fake).await;
}

#[tokio::test]
async fn a_panic_on_a_device_stops_the_engine() {
    let engine = Arc::new(Fake::default()).start(own_runners());
    let error = score(&engine, vec![Some("panic")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error:?}");
}

#[test]
fn an_engine_needs_a_model() {
    assert!(Engine::start(Vec::new(), limits(1)).is_err());
}
