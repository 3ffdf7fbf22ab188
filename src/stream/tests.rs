//! The bounds of a stream, over a model that waits to be let go on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::Error;
use crate::classifier::plan::BatchLimits;
use crate::classifier::{Encoding, ModelInfo, Score};
use crate::engine::{EngineLimits, Runners, Scorer};
use crate::table::ScoreOptions;

struct Gate(Mutex<mpsc::Receiver<()>>);

impl Scorer for Gate {
    fn classes(&self) -> usize {
        2
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        Ok(Encoding { ids: text.bytes().map(u32::from).collect(), tokens: text.len() })
    }

    fn score(&self, sequences: &[&[u32]], _: &dyn Fn()) -> Result<Vec<Score>> {
        // A closed gate lets everything through.
        let _ = self.0.lock().unwrap().recv();
        Ok(sequences
            .iter()
            .map(|s| Score { label: (s.len() % 2) as u32, probabilities: Box::new([0.5, 0.5]) })
            .collect())
    }
}

fn engine() -> (Engine, mpsc::SyncSender<()>) {
    let number = |n| NonZeroUsize::new(n).unwrap();
    let limits = EngineLimits {
        threads: number(1),
        runners: Runners::Tokenizers,
        batch: BatchLimits { rows: 32, tokens: 4096 },
        window_rows: number(64),
        queue_rows: number(1000),
        background: false,
    };
    let info = ModelInfo {
        name: "gate".to_owned(),
        revision: None,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        labels: vec!["EVEN".to_owned(), "ODD".to_owned()],
        max_length: 128,
    };
    let (open, gate) = mpsc::sync_channel(8);
    (Engine::start(vec![Arc::new(Gate(Mutex::new(gate)))], info, limits).unwrap(), open)
}

fn plan() -> Arc<ScorePlan> {
    let schema = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
    let classes = ["EVEN", "ODD"].map(str::to_owned);
    Arc::new(ScorePlan::new(&schema, &ScoreOptions::default(), &classes).unwrap())
}

fn column(number: usize, rows: usize, bytes: usize) -> Column<usize> {
    Column { texts: Arc::new(StringArray::from(vec!["x".repeat(number + 1); rows])), bytes, rest: number }
}

/// How many of ten columns are taken in while the model gives nothing back; then all come out in order.
async fn taken(bound: InFlight, rows: usize, bytes: usize) -> usize {
    let (engine, open) = engine();
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let input = futures::stream::iter(0..10).map(move |number| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(column(number, rows, bytes))
    });
    let stream = score_batches(engine, plan(), Lane::Bulk, bound, input);
    let mut stream = std::pin::pin!(stream);
    let early = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
    assert!(early.is_err(), "the gate is shut");
    let taken = pulled.load(Ordering::SeqCst);
    drop(open);
    let mut number = 0;
    while let Some(item) = stream.next().await {
        let (scores, rest) = item.unwrap();
        assert_eq!((rest, scores.len()), (number, rows));
        assert!((0..rows).all(|row| scores.label(row) == Some((number + 1) % 2)));
        number += 1;
    }
    assert_eq!(number, 10);
    taken
}

#[tokio::test]
async fn rows_and_bytes_are_bounded_and_one_column_always_fits() {
    let much = 1_000_000;
    assert_eq!(taken(InFlight { rows: 6, bytes: much }, 2, 1).await, 3);
    assert_eq!(taken(InFlight { rows: much, bytes: 400 }, 1, 100).await, 4);
    assert_eq!(taken(InFlight { rows: 1, bytes: 1 }, 5, 100).await, 1);
    assert_eq!(taken(InFlight { rows: much, bytes: much }, 1, 1).await, 10);
}

#[tokio::test]
async fn the_first_error_ends_the_stream() {
    let (engine, open) = engine();
    drop(open);
    let items = vec![Ok(column(0, 1, 1)), Err(Error::Invalid("broken".to_owned())), Ok(column(1, 1, 1))];
    let bound = InFlight { rows: 1, bytes: 1 };
    let got: Vec<_> = score_batches(engine, plan(), Lane::Bulk, bound, futures::stream::iter(items)).collect().await;
    assert_eq!(got.len(), 2);
    assert!(got[0].is_ok() && matches!(&got[1], Err(Error::Invalid(cause)) if cause == "broken"));
}
