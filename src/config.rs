//! What the arguments mean: every limit with its name, unit and default.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use textflight::classifier::ClassifierOptions;
use textflight::classifier::plan::BatchLimits;
use textflight::cog::http::{Limits, Options};
use textflight::engine::EngineLimits;
use textflight::flight::FlightLimits;
use textflight::server::ServerConfig;
use textflight::stream::InFlight;
use textflight::table::{LabelKind, ScoreOptions};

use crate::cli::{ColumnArgs, Labels, ModelArgs, ServeArgs};

/// Rows that are tokenized and ordered by length together: 32 batches of 32, enough to pack them well.
const WINDOW_ROWS: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Rows that may wait for the model where nothing serves: the one reader is held back by its own stream first.
const QUEUE_ROWS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// What one stream may have in the engine: eight windows, so that the next is there when one ends, and 64 MiB.
pub const IN_FLIGHT: InFlight = InFlight { rows: 8192, bytes: 64 * 1024 * 1024 };

/// Where the JSON entrypoint listens, as Cog's does.
const HTTP_PORT: u16 = 5000;

impl ModelArgs {
    /// How the checkpoint is served.
    pub const fn classifier(&self) -> ClassifierOptions {
        ClassifierOptions { device: self.device, dtype: self.dtype, max_length: self.max_length }
    }

    /// What bounds the engine where nothing serves.
    pub fn engine(&self) -> EngineLimits {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        EngineLimits {
            threads: self.threads.unwrap_or_else(cores),
            batch: BatchLimits { rows: self.batch_rows.get(), tokens: self.batch_tokens.get() },
            window_rows: WINDOW_ROWS.max(self.batch_rows),
            queue_rows: QUEUE_ROWS,
            background: false,
        }
    }
}

impl ServeArgs {
    /// What bounds the engine of a server, whose clients want to be heard while it scores.
    pub fn engine(&self) -> EngineLimits {
        EngineLimits { queue_rows: self.queue_rows, background: true, ..self.model.engine() }
    }

    /// What the server binds and how long it waits.
    pub fn server(&self) -> ServerConfig {
        ServerConfig {
            flight: self.flight,
            http: self.http.unwrap_or_else(|| match self.port {
                // In a container, where Cog's variable comes from, loopback would reach nobody.
                Some(port) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                None => SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT)),
            }),
            flight_limits: FlightLimits {
                message_bytes: self.max_message_mib as usize * 1024 * 1024,
                exchanges: self.max_exchanges.get(),
                in_flight: IN_FLIGHT,
                stall_timeout: Duration::from_secs_f64(self.stall_timeout),
            },
            cog: self.cog(),
            drain_timeout: Duration::from_secs_f64(self.drain_timeout),
        }
    }

    /// How the JSON entrypoint presents itself.
    fn cog(&self) -> Options {
        let mut limits = Limits::default();
        if let Some(concurrent) = self.max_concurrent_predictions.or(self.cog_max_concurrency) {
            limits.predictions.concurrent = concurrent;
        }
        Options {
            limits,
            api_token: self.api_token.clone(),
            webhook_token: self.webhook_auth_token.clone(),
            model: self.replicate_model.clone(),
        }
    }
}

impl From<&ColumnArgs> for ScoreOptions {
    fn from(args: &ColumnArgs) -> Self {
        Self {
            text: args.text.clone(),
            labels: match args.labels {
                Labels::Name => LabelKind::Name,
                Labels::Id => LabelKind::Id,
            },
            details: args.details,
            probabilities: args.probabilities,
            label_column: args.label_column.clone(),
            confidence_column: args.confidence_column.clone(),
        }
    }
}
