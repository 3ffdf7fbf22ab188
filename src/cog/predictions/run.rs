//! What a prediction does between its slot and its end.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::webhook::Webhook;
use super::{Failure, Outcome, Prediction, Predictions};
use crate::Error;
use crate::cog::predict::{Admitted, PredictError, Predictor};
use crate::memory::Reservation;

/// Runs a prediction on a task of its own. Whatever becomes of the task, the prediction comes to an end.
pub fn spawn(
    all: Arc<Predictions>,
    slot: OwnedSemaphorePermit,
    predictor: Predictor,
    prediction: Arc<Prediction>,
    admitted: Result<Admitted, PredictError>,
    memory: Option<Reservation>,
    webhook: Option<Webhook>,
) {
    let running = Running { all, prediction, slot: Some(slot) };
    let work = async move {
        let prediction = Arc::clone(&running.prediction);
        prediction.begin();
        if let Some(webhook) = &webhook {
            webhook.started(&prediction);
        }
        let outcome = tokio::select! {
            biased;
            () = prediction.canceled() => Outcome::Canceled,
            outcome = score(predictor, admitted) => outcome,
        };
        running.end(outcome);
        if let Some(memory) = memory {
            memory.shrink_to(prediction.answer_bytes());
        }
        if let Some(webhook) = webhook {
            webhook.ended(&prediction);
        }
    };
    tokio::spawn(work.in_current_span());
}

async fn score(predictor: Predictor, admitted: Result<Admitted, PredictError>) -> Outcome {
    let scored = match admitted {
        Ok(admitted) => predictor.score(admitted).await,
        Err(error) => Err(error),
    };
    match scored {
        Ok(output) => Outcome::Succeeded(Arc::new(output)),
        Err(PredictError::Input(error)) => Outcome::Failed(Failure::Input(error.exception())),
        Err(PredictError::Engine(error)) => Outcome::Failed(Failure::Engine(error)),
    }
}

/// Holds a slot until the prediction has ended.
struct Running {
    all: Arc<Predictions>,
    prediction: Arc<Prediction>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Running {
    fn end(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        // The slot first: who hears of the end may start the next at once.
        self.slot = None;
        self.prediction.end(outcome);
        self.all.kept().retire(&self.prediction);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.finish(Outcome::Failed(Failure::Engine(Error::Cancelled("the prediction was given up".to_owned()))));
        }
    }
}
