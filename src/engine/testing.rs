//! An engine without a model, for the unit tests, which see it as the crate's own, and for `tests/suite`, which includes
//! this file.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use textflight::classifier::batch::BatchLimits;
use textflight::classifier::kernels::Team;
use textflight::classifier::{BatchScores, Encoding, ModelInfo, Score};
use textflight::engine::{Engine, EngineLimits, Runners, Scorer};
use textflight::{Error, Result};
use tokio::sync::oneshot;

/// One thread, batches of 32, and room for so many rows.
pub fn limits(queue_rows: usize) -> EngineLimits {
    let number = |number| NonZeroUsize::new(number).unwrap();
    EngineLimits {
        threads: number(1),
        runners: Runners::Tokenizers,
        batch: BatchLimits { rows: 32, tokens: 4096 },
        batch_latency: None,
        ahead_rows: number(32),
        queue_rows: number(queue_rows),
        background: false,
    }
}

/// A scorer that does as its texts say, and remembers them. Other texts are read as a token a character; they are class 1 if
/// the number of tokens is odd, and else class 0.
pub struct Fake {
    /// What it says of itself.
    pub info: ModelInfo,
    /// What it says of a text of so many tokens: the probability of its class.
    pub confidence: fn(usize) -> f32,
    /// Tokens that the device has memory for, if there is a limit.
    pub memory: Option<usize>,
    /// All texts that have a score, batch by batch.
    pub scored: Mutex<Vec<String>>,
    /// Texts of each batch that came.
    pub batches: Mutex<Vec<usize>>,
    /// Batches that have come to the gate.
    pub begun: AtomicUsize,
    /// The text `held` says here that it is being tokenized, waits for a word, and pauses twice.
    pub held: Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>,
    /// Each batch waits for a word from here, if there is one.
    pub gate: Option<Mutex<mpsc::Receiver<()>>>,
}

impl Default for Fake {
    fn default() -> Self {
        let info = ModelInfo {
            name: "fake".to_owned(),
            revision: None,
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            labels: vec!["NEGATIVE".to_owned(), "POSITIVE".to_owned()],
            max_length: 128,
            kernels: "none".to_owned(),
        };
        Self {
            info,
            confidence: |tokens| if tokens % 2 == 0 { 0.999_812_3 } else { 0.75 },
            memory: None,
            scored: Mutex::default(),
            batches: Mutex::default(),
            begun: AtomicUsize::new(0),
            held: Mutex::default(),
            gate: None,
        }
    }
}

impl Fake {
    /// An engine with room for `queue_rows` texts.
    pub fn engine(queue_rows: usize) -> Engine {
        Arc::new(Self::default()).start(limits(queue_rows))
    }

    /// As above; each batch waits until something is sent, or the sender is dropped.
    pub fn gated_engine(queue_rows: usize) -> (Engine, Arc<Self>, mpsc::SyncSender<()>) {
        let (fake, open) = Self::default().gated();
        (Arc::clone(&fake).start(limits(queue_rows)), fake, open)
    }

    /// The same with a gate. A batch goes through it at each word from the sender, and all do when that is dropped.
    pub fn gated(self) -> (Arc<Self>, mpsc::SyncSender<()>) {
        let (open, gate) = mpsc::sync_channel(64);
        (Arc::new(Self { gate: Some(Mutex::new(gate)), ..self }), open)
    }

    /// An engine over this one.
    pub fn start(self: Arc<Self>, limits: EngineLimits) -> Engine {
        Engine::start(vec![self], limits).unwrap()
    }

    /// Waits until so many batches have come to the gate.
    pub async fn has_begun(&self, batches: usize) {
        let begun = async {
            while self.begun.load(Ordering::SeqCst) < batches {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), begun).await.expect("no batch came");
    }

    fn score(&self, sequences: &[&[u32]], pause: &dyn Fn()) -> BatchScores {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        pause();
        self.batches.lock().unwrap().push(sequences.len());
        if self.memory.is_some_and(|tokens| sequences.iter().map(|s| s.len()).sum::<usize>() > tokens) {
            return Err(Error::OutOfMemory("no memory".to_owned()));
        }
        let text = |sequence: &&[u32]| sequence.iter().filter_map(|id| char::from_u32(*id)).collect::<String>();
        let texts: Vec<String> = sequences.iter().map(text).collect();
        texts.iter().try_for_each(|text| obey(text))?;
        self.scored.lock().unwrap().extend(texts.iter().cloned());
        Ok(texts.iter().map(|text| self.score_of(text)).collect())
    }

    /// Goes on when another thread has taken a piece.
    fn wait_for_assistance(team: &Team) {
        let leader = thread::current().id();
        let mut takers = [leader; 2];
        while takers == [leader; 2] {
            team.each(&mut takers, |taker| {
                *taker = thread::current().id();
                thread::yield_now();
            });
        }
    }

    fn score_of(&self, text: &str) -> Result<Score> {
        if text == "unscorable" {
            return Err(Error::Failed("the model gave [NaN, NaN], which is no score".to_owned()));
        }
        let tokens = text.chars().count();
        let (label, sure) = (tokens % 2, (self.confidence)(tokens));
        let mut probabilities = [1.0 - sure; 2];
        probabilities[label] = sure;
        Ok(Score { label: label as u32, probabilities: Box::new(probabilities) })
    }
}

/// What a text does to its batch.
fn obey(text: &str) -> Result<()> {
    match text {
        "panic" => panic!("the fake was told to"),
        "lost" => Err(Error::Stopped("the GPU is lost".to_owned())),
        "fail" => Err(Error::Failed("the device failed".to_owned())),
        "too large" => Err(Error::TooLarge("too large by the fake's measure".to_owned())),
        _ => Ok(()),
    }
}

impl Scorer for Fake {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn encode(&self, text: &str, pause: &dyn Fn()) -> Result<Encoding> {
        if text == "held"
            && let Some((here, go)) = self.held.lock().unwrap().take()
        {
            here.send(()).unwrap();
            let _ = go.recv();
            // A text so long that there is time for another: its window, and its batch.
            pause();
            pause();
        }
        if text == "untokenizable" {
            return Err(Error::Failed("tokenizing failed".to_owned()));
        }
        let ids: Vec<u32> = text.chars().map(u32::from).take(self.info.max_length).collect();
        Ok(Encoding { ids, tokens: text.chars().count() })
    }

    fn score_batch(&self, sequences: &[&[u32]], team: &Team, pause: &dyn Fn()) -> BatchScores {
        let assisted: Vec<u32> = "assisted".chars().map(u32::from).collect();
        if sequences.contains(&&assisted[..]) {
            Self::wait_for_assistance(team);
        }
        self.score(sequences, pause)
    }
}
