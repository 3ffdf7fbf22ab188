//! The engine over scorers that are slow, fail or panic, without a model.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::classifier::plan::BatchLimits;

/// Reads a text as one token a character; its label is the number of characters modulo 2.
#[derive(Default)]
struct Fake {
    batches: AtomicUsize,
    sequences: AtomicUsize,
    /// The first text of each batch, in the order in which they were done.
    done: Mutex<Vec<String>>,
    /// Each batch waits for a word from here, if there is one.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
    /// Tokens that the device has memory for, if there is a limit.
    memory: Option<usize>,
    /// The most batches that came at once.
    most_at_once: AtomicUsize,
}

impl Fake {
    fn gated() -> (Arc<Self>, mpsc::SyncSender<()>) {
        let (open, gate) = mpsc::sync_channel(8);
        (Arc::new(Self { gate: Some(Mutex::new(gate)), ..Self::default() }), open)
    }
}

impl Scorer for Fake {
    fn classes(&self) -> usize {
        2
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        if text == "slow" {
            std::thread::sleep(Duration::from_millis(300));
        }
        if text == "untokenizable" {
            return Err(Error::Failed("tokenizing failed".to_owned()));
        }
        let ids: Vec<u32> = text.chars().map(u32::from).take(8).collect();
        Ok(Encoding { ids, tokens: text.chars().count() })
    }

    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> Result<Vec<Score>> {
        if let Some(gate) = &self.gate {
            // A closed gate lets everything through.
            let _ = gate.lock().unwrap().recv();
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.sequences.fetch_add(sequences.len(), Ordering::SeqCst);
        pause();
        let text = |s: &[u32]| s.iter().filter_map(|c| char::from_u32(*c)).collect::<String>();
        self.done.lock().unwrap().push(text(sequences[0]));
        assert!(!sequences.iter().any(|s| text(s) == "panic"), "the fake was told to");
        if self.memory.is_some_and(|tokens| sequences.iter().map(|s| s.len()).sum::<usize>() > tokens) {
            return Err(Error::OutOfMemory("no memory".to_owned()));
        }
        if sequences.iter().any(|s| text(s) == "lost") {
            return Err(Error::Stopped("the GPU is lost".to_owned()));
        }
        if sequences.iter().any(|s| text(s) == "fail") {
            return Err(Error::Failed("the device failed".to_owned()));
        }
        let score = |s: &&[u32]| Score { label: (s.len() % 2) as u32, probabilities: Box::new([0.25, 0.75]) };
        Ok(sequences.iter().map(score).collect())
    }

    fn score_each(&self, batches: &[&[&[u32]]], pause: &dyn Fn()) -> Vec<Result<Vec<Score>>> {
        self.most_at_once.fetch_max(batches.len(), Ordering::SeqCst);
        batches.iter().map(|batch| self.score(batch, pause)).collect()
    }
}

fn limits(threads: usize) -> EngineLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    EngineLimits {
        threads: number(threads),
        runners: Runners::Tokenizers,
        batch: BatchLimits { rows: 4, tokens: 64 },
        window_rows: number(16),
        queue_rows: number(100),
        background: false,
    }
}

fn info() -> ModelInfo {
    ModelInfo {
        name: "fake".to_owned(),
        revision: None,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        labels: vec!["EVEN".to_owned(), "ODD".to_owned()],
        max_length: 8,
    }
}

fn start(scorer: Arc<Fake>, threads: usize) -> Engine {
    Engine::start(vec![scorer], info(), limits(threads)).unwrap()
}

fn texts(values: impl IntoIterator<Item = Option<&'static str>>) -> StringViewArray {
    values.into_iter().collect()
}

async fn score(engine: &Engine, values: Vec<Option<&'static str>>, lane: Lane) -> Result<Scores> {
    tokio::time::timeout(Duration::from_secs(20), engine.score(texts(values), lane)).await.expect("nobody answered")
}

#[tokio::test]
async fn rows_come_back_in_their_places() {
    for threads in [1, 3] {
        let engine = start(Arc::default(), threads);
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
async fn long_texts_of_a_small_window_are_shared_out_among_the_threads() {
    for (threads, expected) in [(1, &["a long 1"][..]), (2, &["a long 1", "a long 2", "bb"])] {
        let fake: Arc<Fake> = Arc::default();
        let engine = start(Arc::clone(&fake), threads);
        score(&engine, ["aa", "a long 1", "bb", "a long 2"].map(Some).to_vec(), Lane::Bulk).await.unwrap();
        let mut first_of_each = fake.done.lock().unwrap().clone();
        first_of_each.sort();
        assert_eq!(first_of_each, expected, "{threads} threads");
    }
}

#[tokio::test]
async fn columns_without_texts_are_answered_at_once() {
    let (fake, _shut) = Fake::gated();
    let engine = start(fake, 1);
    assert!(score(&engine, vec![], Lane::Bulk).await.unwrap().is_empty());
    let nulls = score(&engine, vec![None, None], Lane::Interactive).await.unwrap();
    assert_eq!((nulls.label(0), nulls.confidence(1)), (None, None));
}

#[tokio::test]
async fn equal_texts_of_all_clients_are_computed_once() {
    let (fake, open) = Fake::gated();
    let engine = start(Arc::clone(&fake), 1);
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { score(&engine, vec![Some("x")], Lane::Bulk).await }
    });
    // While the first batch waits at the gate, others queue up behind it and share the next one.
    let others: Vec<_> = (0..3)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { score(&engine, vec![Some("yy"), Some("zzz")], Lane::Bulk).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(open);
    assert!(first.await.unwrap().is_ok());
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().len(), 2);
    }
    assert!(fake.sequences.load(Ordering::SeqCst) <= 5, "x, then yy and zzz at most twice");
}

#[tokio::test]
async fn interactive_jobs_overtake_bulk() {
    let (fake, open) = Fake::gated();
    let engine = start(Arc::clone(&fake), 1);
    let spawn = |column: Vec<Option<&'static str>>, lane| {
        let engine = engine.clone();
        tokio::spawn(async move { score(&engine, column, lane).await })
    };
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let bulk = spawn(letters.into_iter().map(Some).collect(), Lane::Bulk);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let interactive = spawn(vec![Some("now")], Lane::Interactive);
    tokio::time::sleep(Duration::from_millis(50)).await;
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert!(interactive.await.unwrap().is_ok());
    assert!(!bulk.is_finished());
    drop(open);
    assert!(bulk.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_failure_fails_the_jobs_of_its_batch_and_no_other() {
    let engine = start(Arc::default(), 1);
    let error = score(&engine, vec![Some("a"), Some("fail")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Failed(cause) if cause == "the device failed"));
    let error = score(&engine, vec![Some("a"), Some("untokenizable")], Lane::Bulk).await.unwrap_err();
    assert!(matches!(error, Error::Failed(cause) if cause == "tokenizing failed"));
    assert!(score(&engine, vec![Some("a")], Lane::Bulk).await.is_ok());
    assert_eq!(engine.health(), Health::Serving);
}

#[tokio::test]
async fn a_dead_thread_fails_every_job_with_the_cause() {
    let (fake, open) = Fake::gated();
    let engine = start(fake, 1);
    let spawn = |text| {
        let engine = engine.clone();
        tokio::spawn(async move { score(&engine, vec![Some(text)], Lane::Bulk).await })
    };
    let (dying, waiting) = (spawn("panic"), spawn("a"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(open);
    for job in [dying, waiting] {
        // The second may have shared the first one's batch, or have waited behind it.
        let error = job.await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Stopped(cause) if cause.contains("the fake was told to")), "{error:?}");
    }
    assert!(matches!(engine.died().await, Error::Stopped(cause) if cause.contains("the fake was told to")));
    assert!(matches!(score(&engine, vec![Some("b")], Lane::Interactive).await, Err(Error::Stopped(_))));
}

#[tokio::test]
async fn a_full_lane_refuses_interactive_jobs_and_holds_bulk_ones() {
    let (fake, open) = Fake::gated();
    let engine = start(fake, 1);
    let spawn = |rows: usize, lane| {
        let engine = engine.clone();
        tokio::spawn(async move { score(&engine, vec![Some("a"); rows], lane).await })
    };
    let bulk: Vec<_> = (0..3).map(|_| spawn(90, Lane::Bulk)).collect();
    let interactive = spawn(1000, Lane::Interactive);
    tokio::time::sleep(Duration::from_millis(50)).await;
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
    let (fake, open) = Fake::gated();
    let engine = start(Arc::clone(&fake), 1);
    let spawn = |column: Vec<Option<&'static str>>| {
        let engine = engine.clone();
        tokio::spawn(async move { score(&engine, column, Lane::Bulk).await })
    };
    let running = spawn(vec![Some("running")]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let dropped = spawn(vec![Some("a"), Some("bb"), Some("ccc")]);
    let kept = spawn(vec![Some("ddddd")]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    drop(open);
    assert!(running.await.unwrap().is_ok());
    assert!(kept.await.unwrap().is_ok());
    assert_eq!(fake.sequences.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_queued_still_runs_when_the_last_handle_goes() {
    let (fake, open) = Fake::gated();
    let engine = start(fake, 1);
    let job = tokio::spawn(async move { score(&engine, vec![Some("a"); 50], Lane::Bulk).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(open);
    assert_eq!(job.await.unwrap().unwrap().len(), 50);
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
    let (fake, open) = Fake::gated();
    let limits = EngineLimits { queue_rows: NonZeroUsize::new(2000).unwrap(), ..limits(1) };
    let engine = Engine::start(vec![Arc::clone(&fake) as Arc<dyn Scorer>], info(), limits).unwrap();
    let bulk = tokio::spawn({
        let engine = engine.clone();
        async move { score(&engine, vec![Some("table"); rows], lane).await }
    });
    // The batch of the table is with the model: its one thread waits at the gate.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let interactive = tokio::spawn({
        let engine = engine.clone();
        async move { score(&engine, vec![Some("now")], Lane::Interactive).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(open);
    interactive.await.unwrap().unwrap();
    bulk.await.unwrap().unwrap();
    assert_eq!(fake.done.lock().unwrap()[..2], ["now", "table"]);
}

#[tokio::test]
async fn a_panic_within_a_pause_is_told_to_all() {
    let (fake, open) = Fake::gated();
    let engine = start(Arc::clone(&fake), 1);
    let spawn = |text, lane| {
        let engine = engine.clone();
        tokio::spawn(async move { score(&engine, vec![Some(text); 3], lane).await })
    };
    let table = spawn("table", Lane::Bulk);
    // Its batch is with the model: the one thread waits at the gate.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let panics = spawn("panic", Lane::Interactive);
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(open);
    let error = panics.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the fake was told to"), "{error}");
    // The batch that paused goes on, and is the whole table.
    table.await.unwrap().unwrap();
    assert!(matches!(engine.health(), Health::Dead(cause) if cause.contains("the fake was told to")));
}

mod devices;
