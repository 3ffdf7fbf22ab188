//! The predictor: reads its input, has it scored, shapes its answer.

use arrow::array::{Array, StringViewArray};

use super::input::{self, InputError};
use super::output::Output;
use crate::engine::{Engine, Permit};
use crate::error::Error;
use crate::memory::Reservation;

/// What a text takes besides its letters, and its scores, and the answer's JSON, at most at once.
pub const TEXT_BYTES: usize = 128;

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
    pub async fn predict(&self, texts: &str) -> Result<Output, PredictError> {
        self.score(self.admit(texts, None, None)??).await
    }

    /// Reads what `texts` holds, or `file` where it means one, and takes the engine's permit for it. An input that the
    /// original fails on needs none.
    /// `memory` is made to do for many short texts, which take far more than their letters.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::Stopped`] where the engine has no room, [`Error::Busy`] and [`Error::TooLarge`] where
    /// there is no memory.
    pub fn admit(
        &self,
        texts: &str,
        file: Option<&[u8]>,
        memory: Option<&Reservation>,
    ) -> crate::Result<Result<Admitted, PredictError>> {
        let document = match file.map_or_else(|| input::document(texts), input::file) {
            Ok(document) => document,
            Err(error) => return Ok(Err(error.into())),
        };
        if let Some(memory) = memory {
            memory.extend_to(texts.len() + 2 * document.len() + input::most_texts(&document) * TEXT_BYTES)?;
        }
        match input::texts(&document) {
            Ok(texts) => Ok(Ok(Admitted { permit: self.engine.reserve(texts.len())?, texts })),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Scores what was admitted. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`PredictError::Engine`] where the engine failed.
    pub async fn score(&self, admitted: Admitted) -> Result<Output, PredictError> {
        let scores = self.engine.score_in(admitted.permit, admitted.texts).await?;
        Ok(Output::new(&scores)?)
    }
}

/// Texts with the engine's permit for them.
#[derive(Debug)]
pub struct Admitted {
    texts: StringViewArray,
    permit: Permit,
}

impl From<PredictError> for Error {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Input(error) => Self::Invalid(error.to_string()),
            PredictError::Engine(error) => error,
        }
    }
}
