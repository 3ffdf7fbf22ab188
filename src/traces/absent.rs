//! A build that sends no traces.

use std::convert::Infallible;
use std::time::Duration;

use http::HeaderMap;
use tokio::runtime::Handle;
use tracing::Span;
use tracing_subscriber::{Layer, Registry};

use crate::{Error, Result};

/// Where spans go: there are none.
pub struct NoTraces(Infallible);

impl NoTraces {
    /// No traces.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are asked for on the command line.
    pub fn open(option: Option<&str>, _: &Handle) -> Result<Option<Self>> {
        match option {
            None | Some("") => Ok(None),
            Some(_) => Err(Error::Invalid(
                "--otlp-endpoint: this build of textflight sends no traces; build it with `cargo build --release --features \
                 otlp`, or use the image, which sends them"
                    .to_owned(),
            )),
        }
    }

    /// What makes traces of spans.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        match self.0 {}
    }

    /// Where they go.
    pub fn shown(&self) -> String {
        match self.0 {}
    }

    /// Sends what is left.
    pub fn close(self, _: Duration) {
        match self.0 {}
    }
}

/// Makes a span part of the trace that a request's headers name.
pub const fn adopt(_: &Span, _: &HeaderMap) {}

/// Ends a span, whatever still holds it.
pub const fn end(_: &Span) {}
