//! One prediction, from its request to its end.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use crate::cog::output::Output;

/// Where a prediction stands, by Cog's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was accepted.
    Starting,
    /// Its texts are with the model.
    Processing,
    /// It has an output.
    Succeeded,
    /// It has an error.
    Failed,
    /// Its client took it back.
    Canceled,
}

/// How a prediction ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With scores.
    Succeeded(Arc<Output>),
    /// Without, for this reason.
    Failed(Failure),
    /// By its client's wish.
    Canceled,
}

/// Why a prediction has no output.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Its input is one that the original fails on, too; the words are the original's.
    Input(String),
    /// The engine did not score it.
    Engine(crate::Error),
}

impl Failure {
    /// What a client reads. Cog's server and its worker each put the same words in front.
    pub fn message(&self) -> String {
        match self {
            Self::Input(exception) => format!("Prediction failed: Prediction failed: {exception}"),
            Self::Engine(error) => format!("Prediction failed: {error}"),
        }
    }
}

/// A prediction that others may look at, wait for and cancel while it runs.
#[derive(Debug)]
pub struct Prediction {
    /// Its name, the client's or ours.
    pub id: String,
    /// The input `texts` as it came.
    pub texts: String,
    /// When it was accepted.
    pub created_at: SystemTime,
    progress: watch::Sender<Progress>,
    canceled: watch::Sender<bool>,
}

/// What has become of a prediction so far.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// When it began, by both clocks.
    pub started: Option<(SystemTime, Instant)>,
    /// When and how it ended.
    pub ended: Option<(SystemTime, Duration, Outcome)>,
}

impl Progress {
    /// Where it stands.
    pub const fn status(&self) -> Status {
        match (&self.started, &self.ended) {
            (None, None) => Status::Starting,
            (Some(_), None) => Status::Processing,
            (_, Some((_, _, Outcome::Succeeded(_)))) => Status::Succeeded,
            (_, Some((_, _, Outcome::Failed(_)))) => Status::Failed,
            (_, Some((_, _, Outcome::Canceled))) => Status::Canceled,
        }
    }

    /// What it scored, once it has.
    pub const fn output(&self) -> Option<&Arc<Output>> {
        match &self.ended {
            Some((_, _, Outcome::Succeeded(output))) => Some(output),
            _ => None,
        }
    }

    /// What it cost so far.
    pub fn metrics(&self) -> Metrics {
        Metrics { predict_time: self.ended.as_ref().map(|(_, elapsed, _)| elapsed.as_secs_f64()) }
    }

    /// Why it failed, if it did.
    pub const fn failure(&self) -> Option<&Failure> {
        match &self.ended {
            Some((_, _, Outcome::Failed(failure))) => Some(failure),
            _ => None,
        }
    }
}

/// What a prediction cost.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Metrics {
    /// In seconds, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predict_time: Option<f64>,
}

impl Prediction {
    /// A prediction that nobody has begun.
    pub fn new(id: String, texts: String) -> Self {
        Self {
            id,
            texts,
            created_at: SystemTime::now(),
            progress: watch::Sender::new(Progress::default()),
            canceled: watch::Sender::new(false),
        }
    }

    /// What has become of it.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.progress.borrow().ended.is_none()
    }

    /// Marks its beginning.
    pub fn begin(&self) {
        self.progress.send_modify(|progress| progress.started = Some((SystemTime::now(), Instant::now())));
    }

    /// Marks its end; only the first end counts.
    pub fn end(&self, outcome: Outcome) {
        self.progress.send_if_modified(|progress| {
            if progress.ended.is_some() {
                return false;
            }
            let elapsed = progress.started.map_or(Duration::ZERO, |(_, began)| began.elapsed());
            progress.ended = Some((SystemTime::now(), elapsed, outcome));
            true
        });
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Progress {
        let mut progress = self.progress.subscribe();
        match progress.wait_for(|progress| progress.ended.is_some()).await {
            Ok(progress) => progress.clone(),
            // The sender lives as long as `self`.
            Err(_) => self.progress(),
        }
    }

    /// Asks for its end.
    pub fn cancel(&self) {
        self.canceled.send_replace(true);
    }

    /// Waits for someone to ask for its end.
    pub async fn canceled(&self) {
        // The sender lives as long as `self`.
        let _ = self.canceled.subscribe().wait_for(|canceled| *canceled).await;
    }

    /// Roughly what it holds in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let progress = self.progress.borrow();
        let texts = progress.output().map_or(0, |output| output.predicted_labels.len());
        let error = progress.failure().map_or(0, |failure| failure.message().len());
        size_of::<Self>() + self.id.len() + self.texts.len() + error + texts * (size_of::<usize>() + size_of::<f64>())
    }
}
