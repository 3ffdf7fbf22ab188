//! Streams beside one another: what is small does not wait for what is huge, and what nobody wants is not done.

use super::*;

/// A column of so many distinct texts that begin with `name`.
fn column(name: &str, rows: usize) -> StringViewArray {
    (0..rows).map(|row| Some(format!("{name}{row:04}"))).collect()
}

/// Rows that are tokenized ahead.
const AHEAD: usize = 64;

fn start(fake: &Arc<Fake>) -> Engine {
    let ahead_rows = NonZeroUsize::new(AHEAD).unwrap();
    Arc::clone(fake).start(EngineLimits { ahead_rows, ..limits(1) })
}

/// A job of a stream that waits in the queue, or for room there.
async fn waiting(engine: &Engine, texts: StringViewArray) -> JoinHandle<Result<Scores>> {
    let engine = engine.clone();
    let mut job = Box::pin(async move { engine.score(texts, Lane::Bulk).await });
    assert!(poll!(&mut job).is_pending());
    tokio::spawn(job)
}

/// Rows of others that are scored before a stream of a few has its scores, where `huge` streams have `rows` rows each in the
/// queue, which has room for 100.
async fn rows_before_a_small_one(huge: usize, rows: usize) -> usize {
    let (fake, open) = Fake::default().gated();
    let engine = start(&fake);
    let first = waiting(&engine.for_stream(), column("f", 1)).await;
    fake.has_begun(1).await;
    let mut others = Vec::new();
    for number in 0..huge {
        others.push(waiting(&engine.for_stream(), column(&format!("{number}huge"), rows)).await);
    }
    let small = waiting(&engine.for_stream(), column("s", 3)).await;
    drop(open);
    first.await.unwrap().unwrap();
    small.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    let scored = fake.scored.lock().unwrap().clone();
    let last = scored.iter().rposition(|text| text.starts_with('s')).unwrap();
    scored[..last].iter().filter(|text| text.contains("huge")).count()
}

#[tokio::test]
async fn a_small_stream_waits_for_a_window_and_not_for_the_tables() {
    for (huge, rows) in [(1, 90), (1, 10_000), (8, 50), (8, 1000)] {
        let before = rows_before_a_small_one(huge, rows).await;
        assert!(before <= AHEAD, "{before} rows of {huge} streams of {rows}");
    }
}

#[tokio::test]
async fn one_that_has_its_own_place_waits_for_room_with_its_next() {
    let (fake, open) = Fake::default().gated();
    let engine = start(&fake);
    let huge = waiting(&engine.for_stream(), column("huge", 200)).await;
    // A window of it is out of the queue, and nothing more is until the gate opens.
    fake.has_begun(1).await;
    let small = engine.for_stream();
    let jobs = [waiting(&small, column("a", 3)).await, waiting(&small, column("b", 3)).await];
    let large = waiting(&engine.for_stream(), column("large", 1025)).await;
    // One job has its place; the others are not in the queue.
    let queued = engine.shared.queue.rows(Lane::Bulk).1;
    assert_eq!(queued, 200 - AHEAD + 3);
    drop(open);
    for job in jobs.into_iter().chain([huge, large]) {
        job.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_a_client_leaves_behind_is_dropped_within_one_batch() {
    for lane in [Lane::Bulk, Lane::Interactive] {
        let (fake, open) = Fake::default().gated();
        let engine = start(&fake);
        let texts = column("gone", 90);
        let job = tokio::spawn({
            let engine = engine.for_stream();
            async move { engine.score(texts, lane).await }
        });
        fake.has_begun(1).await;
        job.abort();
        assert!(job.await.unwrap_err().is_cancelled());
        drop(open);
        score(&engine, vec![Some("another")], Lane::Bulk).await.unwrap();
        let scored = fake.scored.lock().unwrap().clone();
        assert!(scored.len() <= 4 + 1, "one batch of 4 had begun; then {} were scored", scored.len());
    }
}

/// A request of many rows does not keep one of a single text waiting for more than the window that is tokenized and the next, which
/// they share.
#[tokio::test]
async fn a_small_request_does_not_wait_for_a_large_one() {
    let (fake, open) = Fake::default().gated();
    let engine = Arc::clone(&fake).start(EngineLimits { queue_rows: NonZeroUsize::new(2000).unwrap(), ..limits(1) });
    let ask = |texts| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.score(texts, Lane::Interactive).await })
    };
    let large = ask(column("large", 1000));
    fake.has_begun(1).await;
    let small = ask(column("small", 1));
    let is_queued = async {
        while engine.queue_depth().interactive.jobs < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_queued).await.expect("it is not queued");
    drop(open);
    small.await.unwrap().unwrap();
    large.await.unwrap().unwrap();
    let before = fake.scored.lock().unwrap().iter().position(|text| text.starts_with("small")).unwrap();
    assert!(before <= 32 + 32 + 4, "{before} rows");
}
