//! One prediction, from its request to its end.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use crate::cog::output::Output;
use crate::cog::predict::TEXT_BYTES;
use crate::error::ErrorKind;

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
    /// What kind of error that is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Input(_) => ErrorKind::INVALID,
            Self::Engine(error) => error.kind(),
        }
    }

    /// What a client reads. Cog's server and its worker each put the same words in front.
    pub fn message(&self) -> String {
        match self {
            Self::Input(exception) => format!("Prediction failed: Prediction failed: {exception}"),
            Self::Engine(error) => format!("Prediction failed: {error}"),
        }
    }
}

/// By which name, and in which version, a client of Replicate asked for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `owner/name`.
    pub model: String,
    /// The version's id.
    pub version: String,
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
    /// What the model was called, where that was said.
    pub asked: Option<Asked>,
    course: watch::Sender<Course>,
    canceled: watch::Sender<bool>,
}

/// What has become of a prediction so far.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// When it began, by both clocks.
    pub started: Option<(SystemTime, Instant)>,
    /// When and how it ended.
    pub ended: Option<(SystemTime, Duration, Outcome)>,
}

impl Course {
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
    pub fn new(id: String, texts: String, asked: Option<Asked>) -> Self {
        Self {
            id,
            texts,
            created_at: SystemTime::now(),
            asked,
            course: watch::Sender::new(Course::default()),
            canceled: watch::Sender::new(false),
        }
    }

    /// What has become of it.
    pub fn course(&self) -> Course {
        self.course.borrow().clone()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.course.borrow().ended.is_none()
    }

    /// Marks its beginning.
    pub fn begin(&self) {
        self.course.send_modify(|course| course.started = Some((SystemTime::now(), Instant::now())));
    }

    /// Marks its end; only the first end counts.
    pub fn end(&self, outcome: Outcome) {
        self.course.send_if_modified(|course| {
            if course.ended.is_some() {
                return false;
            }
            let elapsed = course.started.map_or(Duration::ZERO, |(_, began)| began.elapsed());
            course.ended = Some((SystemTime::now(), elapsed, outcome));
            true
        });
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Course {
        let mut course = self.course.subscribe();
        match course.wait_for(|course| course.ended.is_some()).await {
            Ok(course) => course.clone(),
            // The sender lives as long as `self`.
            Err(_) => self.course(),
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

    /// At most what answers about it take, once it has ended: its input and output, as they are and as JSON.
    pub fn answer_bytes(&self) -> usize {
        const REST: usize = 16 * 1024;
        let texts = self.course.borrow().output().map_or(0, |output| output.predicted_labels.len());
        REST + 2 * self.texts.len() + texts * TEXT_BYTES
    }

    /// Roughly what it holds in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let course = self.course.borrow();
        let texts = course.output().map_or(0, |output| output.predicted_labels.len());
        let error = course.failure().map_or(0, |failure| failure.message().len());
        size_of::<Self>() + self.id.len() + self.texts.len() + error + texts * (size_of::<usize>() + size_of::<f64>())
    }
}
