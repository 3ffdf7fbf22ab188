//! The engines that the tests run on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use textflight::classifier::plan::BatchLimits;
use textflight::classifier::{Encoding, ModelInfo, Score};
use textflight::engine::{Engine, EngineLimits, Runners, Scorer};
use textflight::{Error, Result};

use crate::support::{load, repository};

fn limits(queue_rows: usize) -> EngineLimits {
    let number = |number| NonZeroUsize::new(number).unwrap();
    EngineLimits {
        threads: number(1),
        runners: Runners::Tokenizers,
        batch: BatchLimits { rows: 32, tokens: 4096 },
        window_rows: number(32),
        queue_rows: number(queue_rows),
        background: true,
    }
}

/// The model that comes with the repository.
pub fn bundled() -> Engine {
    let classifier = load(&repository("data/sst2-mini"), 128).unwrap();
    let info = classifier.info().clone();
    Engine::start(vec![Arc::new(classifier)], info, limits(10_000)).unwrap()
}

/// A scorer that does as its texts say, and remembers them. Other texts are positive if their length is odd.
#[derive(Default)]
pub struct Fake {
    pub scored: Mutex<Vec<String>>,
    /// Batches that have come to the gate.
    pub begun: AtomicUsize,
    /// Each batch waits for a word from here, if there is one.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
}

impl Fake {
    /// With room for `queue_rows` texts.
    pub fn engine(queue_rows: usize) -> Engine {
        start(Arc::new(Self::default()), queue_rows)
    }

    /// As above; each batch waits until something is sent.
    pub fn gated_engine(queue_rows: usize) -> (Engine, Arc<Self>, mpsc::SyncSender<()>) {
        let (open, gate) = mpsc::sync_channel(64);
        let fake = Arc::new(Self { gate: Some(Mutex::new(gate)), ..Self::default() });
        (start(Arc::clone(&fake), queue_rows), fake, open)
    }
}

fn start(fake: Arc<Fake>, queue_rows: usize) -> Engine {
    let info = ModelInfo {
        name: "fake".to_owned(),
        revision: None,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        labels: vec!["NEGATIVE".to_owned(), "POSITIVE".to_owned()],
        max_length: 128,
    };
    Engine::start(vec![fake], info, limits(queue_rows)).unwrap()
}

impl Scorer for Fake {
    fn classes(&self) -> usize {
        2
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        let ids: Vec<u32> = text.chars().map(u32::from).take(16).collect();
        Ok(Encoding { ids, tokens: text.chars().count() })
    }

    fn score(&self, sequences: &[&[u32]], _: &dyn Fn()) -> Result<Vec<Score>> {
        if let Some(gate) = &self.gate {
            self.begun.fetch_add(1, Ordering::SeqCst);
            // A closed gate lets everything through.
            let _ = gate.lock().unwrap().recv();
        }
        let text = |sequence: &&[u32]| sequence.iter().filter_map(|id| char::from_u32(*id)).collect::<String>();
        let texts: Vec<String> = sequences.iter().map(text).collect();
        for text in &texts {
            match text.as_str() {
                "panic" => panic!("the fake was told to"),
                "fail" => return Err(Error::Failed("the device failed".to_owned())),
                "too large" => return Err(Error::TooLarge("too large by the fake's measure".to_owned())),
                _ => {}
            }
        }
        self.scored.lock().unwrap().extend(texts.iter().cloned());
        let score = |text: &String| match text.len() % 2 {
            0 => Score { label: 0, probabilities: Box::new([0.999_812_3, 0.000_187_7]) },
            _ => Score { label: 1, probabilities: Box::new([0.25, 0.75]) },
        };
        Ok(texts.iter().map(score).collect())
    }
}
