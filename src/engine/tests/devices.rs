//! The engine over devices of their own: threads that only run batches, memory that ends, devices that are lost.

use std::sync::Mutex;

use super::*;

/// Two threads of each scorer's own, which take up to three batches at once.
pub fn own_runners() -> EngineLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    EngineLimits { runners: Runners::Own { threads: number(2), batches: number(3) }, ..limits(2) }
}

#[tokio::test]
async fn devices_share_the_batches_that_others_tokenize() {
    let fakes: Vec<Arc<Fake>> = vec![Arc::default(), Arc::default()];
    let scorers = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Scorer>).collect();
    let limits = EngineLimits { queue_rows: NonZeroUsize::new(10_000).unwrap(), ..own_runners() };
    let engine = Engine::start(scorers, limits).unwrap();
    assert_eq!(engine.model().device, "cpu,cpu");
    let column = || (0..3000).map(|i| Some(["a", "bb", "ccc", "dddd", "eeeee"][i % 5])).collect::<Vec<_>>();
    let (a, b, c) = tokio::join!(
        score(&engine, column(), Lane::Bulk),
        score(&engine, column(), Lane::Interactive),
        score(&engine, column(), Lane::Bulk)
    );
    for scores in [a, b, c] {
        let scores = scores.unwrap();
        assert!((0..3000).all(|row| scores.label(row) == Some((row % 5 + 1) % 2)));
    }
    assert!(fakes.iter().all(|fake| (1..=3).contains(&fake.most_at_once.load(Ordering::SeqCst))));
}

#[tokio::test]
async fn a_thread_takes_several_batches_but_not_more_than_its_share() {
    let (fake, open) = Fake::default().gated();
    let engine = Arc::clone(&fake).start(own_runners());
    // One batch for each thread, which waits at the gate with it.
    let first = queued(&engine, vec![Some("first")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let second = queued(&engine, vec![Some("second")], Lane::Bulk).await;
    fake.has_begun(2).await;
    // Distinct texts, in batches of four, pile up behind the gate: as many as are planned ahead.
    let words = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh"];
    let column: Vec<Option<&'static str>> =
        (0..80).map(|i| Some(&*Box::leak(format!("{}{i}", words[i % 8]).into_boxed_str()))).collect();
    let rest = queued(&engine, column, Lane::Bulk).await;
    let piled_up = async {
        while engine.shared.queue.planned_rows(Lane::Bulk) < 64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), piled_up).await.expect("nobody tokenizes ahead");
    drop(open);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(rest.await.unwrap().unwrap().len(), 80);
    assert_eq!(fake.most_at_once.load(Ordering::SeqCst), 3);
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
    let (fake, open) = Fake { memory: Some(4), ..Fake::default() }.gated();
    let engine = Arc::clone(&fake).start(own_runners());
    let too_large = queued(&engine, vec![Some("aaa"), Some("bbb")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let lost = queued(&engine, vec![Some("lost")], Lane::Bulk).await;
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
