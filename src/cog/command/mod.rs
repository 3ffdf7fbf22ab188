//! `textflight predict`: one prediction on the command line, as `cog predict` makes it.
//!
//! Here or by a running server; what goes in and what comes out is the same.

mod answer;
mod indent;
mod input;
mod output;
mod remote;
mod waiting;

use std::path::PathBuf;

pub use self::remote::{Remote, RemoteUrl};
use super::predict::Predictor;
use crate::engine::Engine;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::panics::blocking;

/// What to predict, and where the answer goes.
#[derive(Debug, Clone, Default)]
pub struct PredictRequest {
    /// `name=value` or `name=@file`.
    pub inputs: Vec<String>,
    /// All inputs as a JSON object instead: itself, `@file`, or `-` for standard input.
    pub json: Option<String>,
    /// The file that takes the answer; without it, standard output does.
    pub output: Option<PathBuf>,
}

/// A request whose inputs have been read.
#[derive(Debug, Clone)]
pub struct Question {
    texts: String,
    output: Option<PathBuf>,
}

impl Question {
    /// Reads the inputs, files and all: a request that makes no sense need not wait for a model.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inputs that make no sense, [`Error::TooLarge`] for those that are too long, and
    /// [`Error::File`] for a file that cannot be read.
    pub async fn read(request: PredictRequest) -> Result<Self> {
        // Off this thread: a terminal or a pipe may keep it waiting, and a signal must still be heard.
        blocking(move || Ok(Self { texts: input::texts(&request)?, output: request.output })).await
    }

    /// Has `engine` make the prediction and writes its output as indented JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an input that fails the original, too, [`Error::File`] for an output that cannot be
    /// written, and whatever the engine fails with.
    pub async fn make(self, engine: Engine) -> Result<()> {
        let predictor = Predictor::new(engine);
        let output = waiting::with_spinner("scoring", predictor.predict(&self.texts)).await?;
        output::write(&output::print(&output)?, self.output.as_deref())
    }

    /// Has `server` make the prediction and writes its output as indented JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inputs that the server refuses, [`Error::File`] for an output that cannot be written,
    /// and [`Error::Failed`] where no prediction came of it.
    pub async fn ask(self, server: &Remote) -> Result<()> {
        let output = waiting::with_spinner("waiting for the server", server.predict(&self.texts)).await?;
        output::write(&output, self.output.as_deref())
    }
}
