//! The predictor: reads its input, has it scored, shapes its answer.

use super::input::{self, InputError};
use super::output::Output;
use crate::engine::{Engine, Lane};
use crate::error::Error;

/// The original predictor's function over our engine. Cheap to clone.
#[derive(Clone)]
pub struct Predictor {
    engine: Engine,
}

/// Why a prediction came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The input is one that the original fails on, too.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The engine did not score it.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Predictor {
    /// A predictor that has its texts scored by `engine`.
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The engine behind it.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Scores what `texts` holds. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`PredictError::Input`] where the original would have raised, [`PredictError::Engine`] where the engine failed.
    pub async fn predict(&self, texts: &str, lane: Lane) -> Result<Output, PredictError> {
        let texts = input::read(texts)?;
        let scores = self.engine.score(texts, lane).await?;
        Ok(Output::new(&scores)?)
    }
}

impl From<PredictError> for Error {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Input(error) => Self::Invalid(error.to_string()),
            PredictError::Engine(error) => error,
        }
    }
}
