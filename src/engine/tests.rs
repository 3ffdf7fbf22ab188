//! The engine over scorers that are slow, fail or panic, without a model.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use tokio::task::JoinHandle;

use super::permit::LARGEST_INTERACTIVE;
use super::testing::Fake;
use super::*;
use crate::classifier::batch::BatchLimits;

/// Small batches and windows.
fn limits(threads: usize) -> EngineLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    EngineLimits {
        threads: number(threads),
        batch: BatchLimits { rows: 4, tokens: 64 },
        ahead_rows: number(16),
        ..testing::limits(100)
    }
}

fn start(fake: impl Into<Arc<Fake>>, threads: usize) -> Engine {
    fake.into().start(limits(threads))
}

fn texts(values: impl IntoIterator<Item = Option<&'static str>>) -> StringViewArray {
    values.into_iter().collect()
}

async fn score(engine: &Engine, values: Vec<Option<&'static str>>, lane: Lane) -> Result<Scores> {
    tokio::time::timeout(Duration::from_secs(20), engine.score(texts(values), lane)).await.expect("nobody answered")
}

/// A job that has been polled once: it waits in the queue, or for room there, unless a thread was quick.
async fn queued(engine: &Engine, values: Vec<Option<&'static str>>, lane: Lane) -> JoinHandle<Result<Scores>> {
    let engine = engine.clone();
    let mut job = Box::pin(async move { score(&engine, values, lane).await });
    match poll!(&mut job) {
        Poll::Ready(done) => tokio::spawn(async { done }),
        Poll::Pending => tokio::spawn(job),
    }
}

#[tokio::test]
async fn rows_come_back_in_their_places() {
    for threads in [1, 3] {
        let mut fake = Fake::default();
        fake.info.max_length = 8;
        let engine = start(fake, threads);
        let column: Vec<_> = ["a", "bb", "ccc", "", "eeeee", "ffffffffff"].into_iter().cycle().take(333).collect();
        let nulls: Vec<_> = column.iter().enumerate().map(|(i, t)| (i % 7 != 3).then_some(*t)).collect();
        let scores = score(&engine, nulls.clone(), Lane::Bulk).await.unwrap();
        assert_eq!(scores.len(), 333);
        for (row, text) in nulls.iter().enumerate() {
            assert_eq!(scores.label(row), text.map(|t| t.len().min(8) % 2), "row {row}");
            assert_eq!(scores.truncated().value(row), text.is_some_and(|t| t.len() > 8));
            assert_eq!(scores.tokens()[row] as usize, text.map_or(0, str::len));
        }
    }
}

#[tokio::test]
async fn a_small_table_is_one_batch_in_which_idle_threads_may_assist() {
    for threads in [1, 2] {
        let (fake, open) = Fake::default().gated();
        let engine = start(Arc::clone(&fake), threads);
        let job = queued(&engine, ["aa", "a long 1", "bb", "a long 2"].map(Some).to_vec(), Lane::Bulk).await;
        fake.has_begun(1).await;
        drop(open);
        job.await.unwrap().unwrap();
        assert_eq!(*fake.batches.lock().unwrap(), [4]);
    }
}

#[tokio::test]
async fn two_idle_threads_take_a_share_each_and_a_busy_one_none() {
    let eight = || (0..8).map(|i| Some(&"abcdefghijklmnopqrstuvwxyz"[i..i + 16])).collect();
    let batch = BatchLimits { rows: 32, tokens: 4096 };
    // One that wakes before the other looks takes all, and is assisted.
    for _ in 0..200 {
        let fake = Arc::new(Fake::default());
        let engine = Arc::clone(&fake).start(EngineLimits { batch, ..limits(2) });
        tokio::time::sleep(Duration::from_millis(2)).await;
        score(&engine, eight(), Lane::Interactive).await.unwrap();
        let batches = fake.batches.lock().unwrap().clone();
        assert!([vec![4, 4], vec![8]].contains(&batches), "{batches:?}");
        if batches.len() == 2 {
            return busy_thread(batch, eight()).await;
        }
    }
    panic!("no thread ever took a share");
}

async fn busy_thread(batch: BatchLimits, rows: Vec<Option<&'static str>>) {
    let (fake, open) = Fake::default().gated();
    let engine = Arc::clone(&fake).start(EngineLimits { batch, ..limits(2) });
    let first = queued(&engine, vec![Some("first")], Lane::Interactive).await;
    fake.has_begun(1).await;
    let second = queued(&engine, rows, Lane::Interactive).await;
    fake.has_begun(2).await;
    drop(open);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(fake.batches.lock().unwrap().iter().sum::<usize>(), 9);
    assert!(fake.batches.lock().unwrap().contains(&8));
}

#[tokio::test]
async fn idle_threads_assist_and_leave_when_there_is_work() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 2);
    let assisted = queued(&engine, vec![Some("assisted")], Lane::Bulk).await;
    // It has been assisted before it comes to the gate, and is from there on.
    fake.has_begun(1).await;
    let other = queued(&engine, vec![Some("other")], Lane::Bulk).await;
    fake.has_begun(2).await;
    drop(open);
    assert!(assisted.await.unwrap().is_ok() && other.await.unwrap().is_ok());
}

#[tokio::test]
async fn columns_without_texts_are_answered_at_once() {
    let (fake, _shut) = Fake::default().gated();
    let engine = start(fake, 1);
    assert!(score(&engine, vec![], Lane::Bulk).await.unwrap().is_empty());
    let nulls = score(&engine, vec![None, None], Lane::Interactive).await.unwrap();
    assert_eq!((nulls.label(0), nulls.confidence(1)), (None, None));
}

#[tokio::test]
async fn equal_texts_of_all_clients_are_computed_once() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 1);
    let first = queued(&engine, vec![Some("x")], Lane::Bulk).await;
    fake.has_begun(1).await;
    // While the first batch waits at the gate, others queue up behind it and share the next one.
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(queued(&engine, vec![Some("yy"), Some("zzz")], Lane::Bulk).await);
    }
    drop(open);
    assert!(first.await.unwrap().is_ok());
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().len(), 2);
    }
    assert_eq!(*fake.scored.lock().unwrap(), ["x", "zzz", "yy"]);
}

#[tokio::test]
async fn interactive_jobs_overtake_bulk() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 1);
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let bulk = queued(&engine, letters.into_iter().map(Some).collect(), Lane::Bulk).await;
    fake.has_begun(1).await;
    let interactive = queued(&engine, vec![Some("now")], Lane::Interactive).await;
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert!(interactive.await.unwrap().is_ok());
    assert!(!bulk.is_finished());
    drop(open);
    assert!(bulk.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_failure_fails_the_jobs_of_its_batch_and_no_other() {
    let engine = start(Fake::default(), 1);
    let error = score(&engine, vec![Some("a"), Some("fail")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Failed(cause) if cause == "the device failed"));
    assert!(score(&engine, vec![Some("a")], Lane::Bulk).await.is_ok());
    assert_eq!(engine.health(), Health::Serving);
}

#[tokio::test]
async fn a_row_without_a_score_fails_its_own_job_alone_and_is_named() {
    for bad in ["unscorable", "untokenizable"] {
        let (fake, open) = Fake::default().gated();
        let engine = start(Arc::clone(&fake), 1);
        let first = queued(&engine, vec![Some("first")], Lane::Bulk).await;
        fake.has_begun(1).await;
        // They wait together, and share a batch.
        let good = queued(&engine, vec![Some("good"), Some("a")], Lane::Bulk).await;
        let wrong = queued(&engine, vec![Some("a"), None, Some(bad), Some(bad)], Lane::Bulk).await;
        drop(open);
        assert!(first.await.unwrap().is_ok());
        assert_eq!(good.await.unwrap().unwrap().label(0), Some(0));
        let error = wrong.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unscorable { row: 2, .. }), "{error:?}");
        assert_eq!(fake.batches.lock().unwrap().len(), 2);
        assert_eq!(engine.health(), Health::Serving);
    }
}

#[tokio::test]
async fn of_several_rows_without_a_score_the_first_is_named() {
    // The longest run first, in batches of four: the order of the rows is not that of the batches.
    let column: Vec<_> = (0..40).map(|row| Some(if row % 9 == 5 { "unscorable" } else { "a longer text" })).collect();
    let error = score(&start(Fake::default(), 2), [column, vec![Some("untokenizable")]].concat(), Lane::Bulk).await;
    assert!(matches!(error, Err(Error::Unscorable { row: 5, cause }) if cause.contains("[NaN, NaN]")));
}

#[tokio::test]
async fn a_dead_thread_fails_every_job_with_the_cause() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 1);
    let dying = queued(&engine, vec![Some("panic")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let waiting = queued(&engine, vec![Some("a")], Lane::Bulk).await;
    drop(open);
    for job in [dying, waiting] {
        let error = job.await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Stopped(cause) if cause.contains("the fake was told to")), "{error:?}");
    }
    assert!(matches!(engine.died().await, Error::Stopped(cause) if cause.contains("the fake was told to")));
    assert!(matches!(score(&engine, vec![Some("b")], Lane::Interactive).await, Err(Error::Stopped(_))));
}

#[tokio::test]
async fn a_full_lane_refuses_interactive_jobs_and_holds_bulk_ones() {
    let (fake, open) = Fake::default().gated();
    let engine = start(fake, 1);
    let mut bulk = Vec::new();
    for _ in 0..3 {
        bulk.push(queued(&engine, vec![Some("a"); 90], Lane::Bulk).await);
    }
    let interactive = queued(&engine, vec![Some("a"); 1000], Lane::Interactive).await;
    assert!(matches!(score(&engine, vec![Some("b")], Lane::Interactive).await, Err(Error::Busy(_))));
    drop(open);
    assert!(interactive.await.unwrap().is_ok());
    for job in bulk {
        assert!(job.await.unwrap().is_ok());
    }
    assert!(score(&engine, vec![Some("b")], Lane::Interactive).await.is_ok());
}

#[tokio::test]
async fn dropping_the_future_takes_the_job_out() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 1);
    let running = queued(&engine, vec![Some("running")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let dropped = queued(&engine, vec![Some("a"), Some("bb"), Some("ccc")], Lane::Bulk).await;
    let kept = queued(&engine, vec![Some("ddddd")], Lane::Bulk).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    drop(open);
    assert!(running.await.unwrap().is_ok());
    assert!(kept.await.unwrap().is_ok());
    assert_eq!(*fake.scored.lock().unwrap(), ["running", "ddddd"]);
}

/// Waits until no model thread has the fake any more.
async fn threads_end(fake: &Arc<Fake>) {
    let ended = async {
        while Arc::strong_count(fake) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("a thread sleeps for ever");
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle_and_run_nothing_more() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 2);
    let running = queued(&engine, vec![Some("running")], Lane::Bulk).await;
    fake.has_begun(1).await;
    let waiting = queued(&engine, vec![Some("waiting"); 50], Lane::Interactive).await;
    fake.has_begun(2).await;
    let behind = queued(&engine, vec![Some("behind")], Lane::Bulk).await;
    for job in [running, waiting, behind] {
        job.abort();
        assert!(job.await.unwrap_err().is_cancelled());
    }
    assert_eq!(Arc::strong_count(&fake), 3, "both threads wait at the gate");
    drop(engine);
    drop(open);
    threads_end(&fake).await;
    assert!(!fake.scored.lock().unwrap().contains(&"behind".to_owned()));
}

#[tokio::test]
async fn idle_threads_end_with_the_last_handle() {
    for limits in [limits(2), devices::own_runners()] {
        let fake: Arc<Fake> = Arc::default();
        let engine = Arc::clone(&fake).start(limits);
        assert!(score(&engine, vec![Some("a")], Lane::Bulk).await.is_ok());
        drop(engine);
        threads_end(&fake).await;
    }
}

#[tokio::test]
async fn what_is_interactive_overtakes_the_batch_that_runs() {
    overtakes(20, Lane::Bulk).await;
}

#[tokio::test]
async fn it_overtakes_a_table_that_came_as_a_request() {
    overtakes(LARGEST_INTERACTIVE + 1, Lane::Interactive).await;
}

async fn overtakes(rows: usize, lane: Lane) {
    let (fake, open) = Fake::default().gated();
    let limits = EngineLimits { queue_rows: NonZeroUsize::new(2000).unwrap(), ..limits(1) };
    let engine = Arc::clone(&fake).start(limits);
    let bulk = queued(&engine, vec![Some("table"); rows], lane).await;
    // The batch of the table is with the model: its one thread waits at the gate.
    fake.has_begun(1).await;
    let interactive = queued(&engine, vec![Some("now")], Lane::Interactive).await;
    drop(open);
    interactive.await.unwrap().unwrap();
    bulk.await.unwrap().unwrap();
    assert_eq!(fake.scored.lock().unwrap()[..2], ["now", "table"]);
}

#[tokio::test]
async fn a_panic_within_a_pause_is_told_to_all() {
    let (fake, open) = Fake::default().gated();
    let engine = start(Arc::clone(&fake), 1);
    let table = queued(&engine, vec![Some("table"); 3], Lane::Bulk).await;
    // Its batch is with the model: the one thread waits at the gate.
    fake.has_begun(1).await;
    let panics = queued(&engine, vec![Some("panic"); 3], Lane::Interactive).await;
    drop(open);
    let error = panics.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the fake was told to"), "{error}");
    // The batch that paused goes on, and is the whole table.
    table.await.unwrap().unwrap();
    assert!(matches!(engine.health(), Health::Dead(cause) if cause.contains("the fake was told to")));
}

mod card;
mod devices;
mod fair;
