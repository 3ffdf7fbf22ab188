//! Predictions in the making, and those that were made a while ago: who may start one, find one, cancel one.

mod id;
mod kept;
mod prediction;
mod run;
mod webhook;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use self::kept::Kept;
pub use self::kept::Retention;
pub use self::prediction::{Asked, Course, Failure, Metrics, Outcome, Prediction, Status};
use self::webhook::Webhooks;
pub use self::webhook::{Event, Trace, WebhookRequest};
use super::predict::Predictor;
use super::uploads::Upload;
use crate::Error;
use crate::auth::Token;
use crate::engine::Timings;
use crate::memory::Reservation;
use crate::readiness::Readiness;

/// What a client asks for, once it fits the schema.
#[derive(Debug, Default)]
pub struct NewPrediction {
    /// The client's own name for it.
    pub id: Option<String>,
    /// Not to be begun while one of its name runs.
    pub once: bool,
    /// The input `texts`.
    pub texts: String,
    /// The file that it means, where it is the address of one.
    pub file: Option<Arc<Upload>>,
    /// Where the client wants to hear of it.
    pub webhook: Option<WebhookRequest>,
    /// By which of its names the model was asked for.
    pub asked: Option<Asked>,
    /// The memory that was reserved for it.
    pub memory: Option<Reservation>,
    /// Where the times of its rows go.
    pub timings: Arc<Timings>,
}

/// A prediction that runs.
#[derive(Debug)]
pub enum Started {
    /// Since now.
    Now(Arc<Prediction>),
    /// By an earlier request of the same name, as this one is to run once.
    Before(Arc<Prediction>),
}

/// Why a prediction was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The model is not there yet, or no longer. The text holds the cause.
    #[error("{0}")]
    NotReady(String),
    /// As many run as may.
    #[error("At capacity - all prediction slots busy")]
    AtCapacity,
    /// Others hold the memory that it takes. The text says how much that is.
    #[error("{0}")]
    NoMemory(String),
    /// It is larger than a limit that the text names.
    #[error("{0}")]
    TooLarge(String),
}

impl Refusal {
    /// The model is not there yet, in Cog's words.
    pub fn loading() -> Self {
        let cause = "Setup has not finished yet. Wait until it has finished, or GET /health-check for status.";
        Self::NotReady(cause.to_owned())
    }
}

/// What bounds the predictions.
#[derive(Debug, Clone, Copy)]
pub struct PredictionLimits {
    /// How many run at a time; one more is refused.
    pub concurrent: u32,
    /// Which of the finished ones can still be read.
    pub retention: Retention,
}

/// All predictions of a server.
pub struct Predictions {
    model: Readiness,
    slots: Arc<Semaphore>,
    concurrent: u32,
    kept: Mutex<Kept>,
    webhooks: Webhooks,
}

impl Predictions {
    /// None yet. Until the model is there, each is refused.
    pub fn new(limits: PredictionLimits, webhook_token: Option<&Token>, model: Readiness) -> Self {
        let concurrent = limits.concurrent;
        Self {
            model,
            slots: Arc::new(Semaphore::new(concurrent as usize)),
            concurrent,
            kept: Mutex::new(Kept::new(limits.retention)),
            webhooks: Webhooks::new(webhook_token),
        }
    }

    /// Whether one more would be refused.
    pub fn is_busy(&self) -> bool {
        self.slots.available_permits() == 0
    }

    /// Waits until none runs and all webhooks were called.
    pub async fn drained(&self) {
        // Never closed; and whoever holds all slots keeps new ones from starting.
        let _all = self.slots.acquire_many(self.concurrent).await;
        self.webhooks.drained().await;
    }

    /// Begins a prediction, which then runs by itself. One whose name was taken before goes on without it.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was begun.
    pub fn start(self: &Arc<Self>, request: NewPrediction) -> Result<Started, Refusal> {
        let model = self.model.model().ok_or_else(Refusal::loading)?;
        let predictor = Predictor::new(model.engine.timed(request.timings));
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Refusal::AtCapacity)?;
        let file = request.file.as_ref().map(|upload| &*upload.file.content);
        let admitted = predictor.admit(&request.texts, file, request.memory.as_ref()).map_err(|error| match error {
            Error::Busy(_) => Refusal::AtCapacity,
            Error::TooLarge(limit) => Refusal::TooLarge(limit),
            error => Refusal::NotReady(error.to_string()),
        })?;
        let id = request.id.unwrap_or_else(id::generate);
        let prediction = Arc::new(Prediction::new(id, request.texts, request.asked));
        {
            // Looked for and added under one lock, so that of two equal requests one runs.
            let mut kept = self.kept();
            let running = kept.find(&prediction.id).filter(|known| request.once && known.is_running());
            if let Some(running) = running {
                return Ok(Started::Before(running));
            }
            kept.insert(Arc::clone(&prediction));
        }
        let webhook = request.webhook.and_then(|webhook| self.webhooks.open(webhook, request.memory.clone()));
        let (all, running) = (Arc::clone(self), Arc::clone(&prediction));
        run::spawn(all, slot, predictor, running, admitted, request.memory, webhook);
        Ok(Started::Now(prediction))
    }

    /// The prediction of this name that runs, or that ended not long ago.
    pub fn find(&self, id: &str) -> Option<Arc<Prediction>> {
        self.kept().find(id)
    }

    /// The prediction of this name, if it runs.
    pub fn find_running(&self, id: &str) -> Option<Arc<Prediction>> {
        self.find(id).filter(|prediction| prediction.is_running())
    }

    /// All that can be found, the newest first.
    pub fn list(&self) -> Vec<Arc<Prediction>> {
        self.kept().list()
    }

    /// Asks a running prediction to end; false when none has this name.
    pub fn cancel(&self, id: &str) -> bool {
        let running = self.find_running(id);
        if let Some(prediction) = &running {
            prediction.cancel();
        }
        running.is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here panics half-way: a poisoned lock holds a whole value.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
