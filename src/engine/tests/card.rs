//! The engine over a card that takes its time: whatever brings the texts, and however many threads tokenize them, each forward
//! has about as many tokens as it may.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch};
use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::classifier::kernels::Team;
use crate::classifier::{BatchScores, Encoding, Score};
use crate::stream::{InFlight, Incoming, score_table};
use crate::table::ScorePlan;

/// A device that runs one forward at a time, which takes a while and so much more for each token.
struct Card {
    info: ModelInfo,
    device: Mutex<()>,
    /// Of each thousand tokens.
    thousand: Duration,
    /// How long a forward goes on at most where no other is behind it.
    patience: Duration,
    /// Whether each forward was the last that had come, when it was over; in their order, with the first number in it.
    order: Mutex<Vec<(bool, u32)>>,
    /// Forwards that have come, and that have ended.
    come: AtomicUsize,
    ended: AtomicUsize,
    /// Rows that are still to come.
    rows_left: AtomicUsize,
    /// Tokens of each.
    forwards: Mutex<Vec<usize>>,
}

/// Of a forward, and of each thousand tokens.
const LAUNCH: Duration = Duration::from_micros(500);
const TOKENS: Duration = Duration::from_micros(150);

/// How long a forward goes on at most where no other is behind it: this machine may be too slow to feed such a card.
const PATIENCE: Duration = Duration::from_millis(300);

/// Rows that are left where the end of all is so near that no forward need be behind another.
const LAST_ROWS: usize = 6000;

impl Card {
    fn new(rows: usize) -> Self {
        let number = |number| AtomicUsize::new(number);
        let info = Fake::default().info;
        Self {
            info,
            device: Mutex::default(),
            thousand: TOKENS,
            patience: PATIENCE,
            order: Mutex::default(),
            come: number(0),
            ended: number(0),
            rows_left: number(rows),
            forwards: Mutex::default(),
        }
    }

    fn forward(&self, sequences: &[&[u32]]) {
        self.come.fetch_add(1, Ordering::SeqCst);
        let device = self.device.lock().unwrap();
        let began = Instant::now();
        let tokens: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let left = self.rows_left.fetch_sub(sequences.len(), Ordering::SeqCst);
        std::thread::sleep(LAUNCH + self.thousand * tokens as u32 / 1000);
        let is_last = || self.come.load(Ordering::SeqCst) == self.ended.load(Ordering::SeqCst) + 1;
        self.order.lock().unwrap().push((is_last(), sequences[0][0]));
        while left > LAST_ROWS && is_last() && began.elapsed() < self.patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        if left > LAST_ROWS {
            self.forwards.lock().unwrap().push(tokens);
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        drop(device);
    }
}

impl Scorer for Card {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// A text is a number, by which it has 4 to 46 tokens.
    fn encode(&self, text: &str, _pause: &dyn Fn()) -> Result<Encoding> {
        let number: u32 = text.parse().map_err(|_| Error::Failed("not a number".to_owned()))?;
        let mut ids = vec![0; 4 + (number.wrapping_mul(2_654_435_761) >> 16) as usize % 43];
        ids[0] = number;
        Ok(Encoding { tokens: ids.len(), ids })
    }

    fn score_batch(&self, sequences: &[&[u32]], _team: &Team, _pause: &dyn Fn()) -> BatchScores {
        self.forward(sequences);
        Ok(sequences.iter().map(|_| Ok(Score { label: 1, probabilities: Box::new([0.25, 0.75]) })).collect())
    }
}

/// Rows of a run.
const ROWS: usize = 16_384;

fn numbers(first: usize, rows: usize) -> StringViewArray {
    (first..first + rows).map(|number| Some(number.to_string())).collect()
}

/// Scores a stream of record batches of so many rows, of which it may have so many in the engine.
async fn one_client(engine: Engine, batch_rows: usize, in_flight: usize) {
    let batch = move |first: usize| {
        let texts: ArrayRef = Arc::new(numbers(first, batch_rows.min(ROWS - first)));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    };
    let schema = batch(0).schema();
    let plan = ScorePlan::new(&schema, &crate::table::ScoreOptions::default(), &engine.model().labels).unwrap();
    let input = futures::stream::iter((0..ROWS).step_by(batch_rows))
        .map(move |first| Ok(Incoming { rows: batch(first), bytes: 1, rest: () }));
    let bound = InFlight { rows: in_flight, bytes: 1 << 26 };
    let scored = score_table(engine, Arc::new(plan), bound, input);
    let rows: usize = scored.map_ok(|(batch, ())| batch.num_rows()).try_fold(0, async |a, b| Ok(a + b)).await.unwrap();
    assert_eq!(rows, ROWS);
}

/// So many clients, each of which waits for the scores of a few rows before it sends the next.
async fn small_clients(engine: Engine, clients: usize) {
    const FEW: usize = 32;
    let client = |client: usize| {
        let engine = engine.for_stream();
        async move {
            for round in 0..ROWS / FEW / clients {
                let texts = numbers((round * clients + client) * FEW, FEW);
                assert_eq!(engine.score(texts, Lane::Bulk).await.unwrap().len(), FEW);
            }
        }
    };
    futures::future::join_all((0..clients).map(client)).await;
}

/// With each of these numbers of threads the forwards must have nine tenths of the tokens that they may, on average.
async fn fills(tokens: usize, clients: impl AsyncFn(Engine)) {
    let number = |number| NonZeroUsize::new(number).unwrap();
    for threads in [8, 16, 64] {
        let limits = EngineLimits {
            threads: number(threads),
            runners: Runners::Own(number(2)),
            batch: BatchLimits { rows: tokens, tokens },
            ahead_rows: number(1024),
            ..testing::limits(65_536)
        };
        let card = Arc::new(Card::new(ROWS));
        clients(Engine::start(vec![Arc::clone(&card) as Arc<dyn Scorer>], limits).unwrap()).await;
        // The first has what was there at the time.
        let forwards = card.forwards.lock().unwrap()[1..].to_vec();
        let mean = forwards.iter().sum::<usize>() as f64 / forwards.len() as f64;
        assert!(forwards.len() > 10 && mean >= 0.9 * tokens as f64, "{threads} threads, {mean}: {forwards:?}");
    }
}

#[tokio::test]
async fn one_client_of_large_batches_fills_a_card() {
    fills(8192, async |engine| one_client(engine, 4096, 8192).await).await;
}

#[tokio::test]
async fn one_client_of_batches_that_are_all_it_may_have_fills_a_card() {
    fills(8192, async |engine| one_client(engine, 8192, 8192).await).await;
}

#[tokio::test]
async fn one_client_of_small_batches_fills_a_card() {
    fills(8192, async |engine| one_client(engine, 32, 8192).await).await;
}

#[tokio::test]
async fn a_file_fills_a_card() {
    fills(16_384, async |engine| one_client(engine, 512, 3584).await).await;
}

#[tokio::test]
async fn many_small_clients_fill_a_card() {
    fills(8192, async |engine| small_clients(engine, 64).await).await;
}

#[tokio::test]
async fn a_small_request_runs_at_once() {
    let number = |number| NonZeroUsize::new(number).unwrap();
    let limits = EngineLimits { threads: number(8), runners: Runners::Own(number(2)), ..testing::limits(100) };
    let card = Arc::new(Card::new(LAST_ROWS));
    let engine = Engine::start(vec![Arc::clone(&card) as Arc<dyn Scorer>], limits).unwrap();
    for round in 1..=3 {
        let answer = tokio::time::timeout(Duration::from_secs(20), engine.score(numbers(0, 2), Lane::Interactive));
        assert_eq!(answer.await.expect("it waits for more").unwrap().len(), 2);
        assert_eq!(card.come.load(Ordering::SeqCst), round);
    }
}

/// Eight threads that feed a card of 10 ms a thousand tokens, which does not wait for anybody.
fn slow_card(limits: impl Fn(EngineLimits) -> EngineLimits) -> (Arc<Card>, Engine) {
    let number = |number| NonZeroUsize::new(number).unwrap();
    let usual = EngineLimits {
        threads: number(8),
        runners: Runners::Own(number(2)),
        batch: BatchLimits { rows: 4096, tokens: 4096 },
        ahead_rows: number(1024),
        ..testing::limits(65_536)
    };
    let (thousand, patience) = (Duration::from_millis(10), Duration::ZERO);
    let card = Arc::new(Card { thousand, patience, ..Card::new(ROWS) });
    let engine = Engine::start(vec![Arc::clone(&card) as Arc<dyn Scorer>], limits(usual)).unwrap();
    (card, engine)
}

/// Starts to score so many rows of a table.
fn table(engine: &Engine, rows: usize) -> JoinHandle<Result<Scores>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.score(numbers(0, rows), Lane::Bulk).await })
}

#[tokio::test]
async fn a_card_finds_the_next_forward_when_one_is_over() {
    let mut idle = Vec::new();
    for _ in 0..5 {
        let (card, engine) = slow_card(|limits| limits);
        table(&engine, 6000).await.unwrap().unwrap();
        let order = card.order.lock().unwrap();
        assert!(order.len() > 20, "{}", order.len());
        idle.push(order.iter().filter(|(is_last, _)| *is_last).count() as f64 / order.len() as f64);
        // All but the last few, and those where this machine had no core in time for who brings the next.
        if idle.iter().any(|idle| *idle < 0.35) {
            return;
        }
    }
    panic!("so many forwards of a run had none behind them: {idle:?}");
}

/// While a table is scored, the first request waits for what the card computes then, and nothing more.
#[tokio::test]
async fn a_request_waits_for_the_forward_that_runs() {
    for _ in 0..5 {
        let (card, engine) = slow_card(|limits| limits);
        let table = table(&engine, 6000);
        let ended = async |forwards: usize| {
            while card.ended.load(Ordering::SeqCst) < forwards {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // Until then it is not known how long one takes.
        ended(5).await;
        let began = Instant::now();
        let before = card.ended.load(Ordering::SeqCst);
        let request = queued(&engine, vec![Some("1000000")], Lane::Interactive).await;
        request.await.unwrap().unwrap();
        let in_time = began.elapsed() < Duration::from_millis(100);
        let order: Vec<u32> = card.order.lock().unwrap().iter().map(|(_, first)| *first).collect();
        let at = order.iter().position(|first| *first == 1_000_000).unwrap();
        table.abort();
        assert!(at - before <= if in_time { 1 } else { 2 }, "{at} after {before}: {order:?}");
        if in_time {
            return;
        }
    }
}

#[tokio::test]
async fn forwards_have_as_many_tokens_as_are_over_in_time() {
    let latency = Duration::from_millis(24);
    let (card, engine) = slow_card(|limits| EngineLimits { batch_latency: Some(latency), ..limits });
    table(&engine, 6000).await.unwrap().unwrap();
    let forwards = card.forwards.lock().unwrap();
    // 22 ms without the lead of the next; less where this machine is slow.
    assert!(forwards.iter().all(|tokens| *tokens <= 2200), "{forwards:?}");
    // They begin with the least; how far they get is for `Budget`'s own tests to say, which no other work delays.
    assert!(forwards.iter().any(|tokens| *tokens > 600), "{forwards:?}");
}
