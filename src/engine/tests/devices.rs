//! The engine over devices of their own: threads that only run batches, memory that ends, devices that are lost.

use super::*;

/// Two threads of each scorer's own, which take up to three batches at once.
fn own_runners() -> EngineLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    EngineLimits { runners: Runners::Own { threads: number(2), batches: number(3) }, ..limits(2) }
}

#[tokio::test]
async fn devices_share_the_batches_that_others_tokenize() {
    let fakes: Vec<Arc<Fake>> = vec![Arc::default(), Arc::default()];
    let scorers = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Scorer>).collect();
    let limits = EngineLimits { queue_rows: NonZeroUsize::new(10_000).unwrap(), ..own_runners() };
    let engine = Engine::start(scorers, info(), limits).unwrap();
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
    // What is queued when the last handle goes still runs.
    let last = tokio::spawn(async move { score(&engine, column(), Lane::Bulk).await });
    assert_eq!(last.await.unwrap().unwrap().len(), 3000);
}

#[tokio::test]
async fn a_thread_takes_several_batches_but_not_more_than_its_share() {
    let (fake, open) = Fake::gated();
    let engine = Engine::start(vec![Arc::clone(&fake) as Arc<dyn Scorer>], info(), own_runners()).unwrap();
    let words = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh"];
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { score(&engine, vec![Some("first")], Lane::Bulk).await }
    });
    // Distinct texts, in batches of four, pile up behind the gate.
    let column: Vec<Option<&'static str>> =
        (0..80).map(|i| Some(&*Box::leak(format!("{}{i}", words[i % 8]).into_boxed_str()))).collect();
    let rest = tokio::spawn(async move { score(&engine, column, Lane::Bulk).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(open);
    assert!(first.await.unwrap().is_ok());
    assert_eq!(rest.await.unwrap().unwrap().len(), 80);
    assert_eq!(fake.most_at_once.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_batch_without_memory_is_run_in_smaller_ones() {
    for limits in [limits(2), own_runners()] {
        let fake = Arc::new(Fake { memory: Some(9), ..Fake::default() });
        let engine = Engine::start(vec![Arc::clone(&fake) as Arc<dyn Scorer>], info(), limits).unwrap();
        let column = ["aaaaaa", "bbbbb", "cccc", "ddd", "ee", "f", "gggggg", "hhhhh"].map(Some).to_vec();
        let scores = score(&engine, column.clone(), Lane::Bulk).await.unwrap();
        for (row, text) in column.iter().enumerate() {
            assert_eq!(scores.label(row), text.map(|text| text.len() % 2), "row {row}");
        }
        assert_eq!(engine.health(), Health::Serving);
    }
}

#[tokio::test]
async fn one_text_without_memory_fails_its_job_alone() {
    let fake = Arc::new(Fake { memory: Some(4), ..Fake::default() });
    let engine = start(fake, 1);
    let error = score(&engine, vec![Some("far too long"), Some("ok")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(&error, Error::OutOfMemory(cause) if cause == "no memory"), "{error:?}");
    assert!(score(&engine, vec![Some("ok")], Lane::Bulk).await.is_ok());
}

#[tokio::test]
async fn a_lost_device_stops_the_engine() {
    for limits in [limits(1), own_runners()] {
        let engine = Engine::start(vec![Arc::new(Fake::default())], info(), limits).unwrap();
        let error = score(&engine, vec![Some("lost")], Lane::Bulk).await.unwrap_err();
        assert!(matches!(&error, Error::Stopped(cause) if cause == "the GPU is lost"), "{error:?}");
        assert!(engine.died().await.to_string().contains("the GPU is lost"));
        assert_eq!(engine.health(), Health::Dead("the GPU is lost".to_owned()));
        let error = score(&engine, vec![Some("a")], Lane::Interactive).await.unwrap_err();
        assert!(matches!(error, Error::Stopped(_)), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_tokenized_while_the_device_is_lost_is_answered() {
    let engine = Engine::start(vec![Arc::new(Fake::default())], info(), own_runners()).unwrap();
    let slow = tokio::spawn({
        let engine = engine.clone();
        async move { score(&engine, vec![Some("slow")], Lane::Bulk).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(score(&engine, vec![Some("lost")], Lane::Bulk).await.is_err());
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error:?}");
}

#[tokio::test]
async fn threads_end_with_a_queue_of_unwanted_jobs() {
    let fake = Arc::new(Fake::default());
    let engine = Engine::start(vec![Arc::clone(&fake) as Arc<dyn Scorer>], info(), own_runners()).unwrap();
    for _ in 0..20 {
        let job = engine.score(texts([Some("slow"), Some("a")]), Lane::Bulk);
        let _ = tokio::time::timeout(Duration::from_millis(1), job).await;
    }
    drop(engine);
    tokio::time::timeout(Duration::from_secs(20), async {
        while Arc::strong_count(&fake) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a thread sleeps for ever");
}

#[tokio::test]
async fn a_panic_while_tokenizing_stops_the_engine() {
    let engine = Engine::start(vec![Arc::new(Fake::default())], info(), own_runners()).unwrap();
    let error = score(&engine, vec![Some("panic")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error:?}");
}

#[test]
fn an_engine_needs_a_model() {
    assert!(Engine::start(Vec::new(), info(), limits(1)).is_err());
}
