//! The JSON entrypoint: what a Cog container with the original predictor does, over HTTP and on the command line.
//!
//! `input` and `output` are the predictor's rules, pure; `predict` puts the engine between them; `http` and `command`
//! are the two ways in.

mod base64;
pub mod command;
#[cfg(test)]
mod differential;
pub mod http;
mod input;
mod output;
mod predict;
mod predictions;
mod pyjson;
mod uploads;

pub use input::InputError;
pub use output::Output;
pub use predict::{PredictError, Predictor};

/// The Cog whose contract this server keeps.
const COG_VERSION: &str = "0.23.1";

/// The longest input: what fits a request to Cog, 100 MiB.
const MAX_INPUT_BYTES: usize = 100 * 1024 * 1024;
