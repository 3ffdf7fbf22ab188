//! What the arguments mean: every limit with its name, unit and default.

mod access;
pub mod bounds;
mod catalog;
pub mod defaults;
mod files;
mod remote;

use std::path::Path;
use std::time::{Duration, SystemTime};

use textflight::bulk::{JobOptions, ProgressKind, Ran, Shard};
use textflight::check::{CheckOptions, Size};
use textflight::classifier::{ClassifierOptions, ModelInfo};
use textflight::cog::http::{Limits, Options};
use textflight::engine::EngineOptions;
pub use textflight::engine::TokenBudget;
use textflight::flight::{FlightLimits, UploadLimits};
use textflight::memory::{self, Memory};
use textflight::rest;
use textflight::server::{ConnectionLimits, ServerConfig};
use textflight::source::staged::StagedLimits;
use textflight::spool::Spool;
use textflight::store::Stores;
use textflight::table::{Columns, LabelKind, OnError, ScoreOptions, TextColumns};
use textflight::{Error, Result};

use self::defaults::{
    AGREEMENT_TEXTS, BATCH_ROWS, COMMIT_EVERY, IN_FLIGHT, JOB_BATCH_ROWS, MEASURED_TEXTS, MEASUREMENT, MEMORY,
    QUEUE_ROWS, TINY_TEXTS,
};
pub use self::files::ScoredFiles;
use crate::cli::{
    CheckArgs, ColumnArgs, ErrorStyle, LabelStyle, ModelArgs, ProgressStyle, ScoreArgs, ServeArgs, UploadArgs,
};

impl ModelArgs {
    /// How the checkpoint is served.
    pub fn classifier(&self) -> ClassifierOptions {
        ClassifierOptions {
            device: self.device.clone(),
            cuda_libraries: self.cuda_libraries.clone(),
            dtype: self.dtype,
            kernels: self.kernels,
            max_length: self.max_length,
        }
    }

    /// What bounds the engine, where nothing serves.
    pub fn engine(&self) -> EngineOptions {
        let rows = match self.batch_tokens {
            None | Some(TokenBudget::AtMost(_)) => Some(BATCH_ROWS),
            Some(TokenBudget::Auto) => None,
        };
        EngineOptions {
            batch_rows: self.batch_rows.or(rows),
            batch_tokens: self.batch_tokens,
            batch_latency: self.batch_latency_ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)),
            threads: self.threads,
            queue_rows: QUEUE_ROWS,
            background: false,
        }
    }
}

/// Of that, what finished predictions may take that can still be read: a sixteenth, and never more than this.
const LARGEST_KEPT: usize = 64 * 1024 * 1024;

/// And what uploaded files may take: an eighth, and never more than this.
const LARGEST_FILES: usize = 128 * 1024 * 1024;

/// What is kept beside requests, in bytes.
#[derive(Clone, Copy)]
struct Kept {
    predictions: usize,
    files: usize,
    uploads: usize,
}

impl UploadArgs {
    /// What all uploads may have in memory.
    fn memory(&self) -> usize {
        self.upload_memory.saturating_mul(self.max_uploads.get())
    }

    /// What bounds uploads that may have so much in memory together.
    fn limits(&self, memory: usize) -> UploadLimits {
        UploadLimits {
            uploads: self.max_uploads.get(),
            table: StagedLimits {
                rows: self.upload_rows,
                bytes: self.upload_limit as u64,
                memory_bytes: memory / self.max_uploads.get(),
            },
            expiry: Duration::from_secs_f64(self.upload_expiry),
        }
    }
}

impl ServeArgs {
    /// What requests may hold, and beside them finished predictions, uploaded files and uploads of Flight.
    fn memory(&self) -> (Memory, Kept) {
        let quarter = || memory::available().map_or(MEMORY, |bytes| MEMORY.min(bytes / 4));
        let limit = self.memory_limit.unwrap_or_else(quarter);
        let kept = Kept {
            predictions: LARGEST_KEPT.min(limit / 16),
            files: LARGEST_FILES.min(limit / 8),
            uploads: self.uploads.memory().min(limit / 16),
        };
        (Memory::new(limit - kept.predictions - kept.files - kept.uploads), kept)
    }

    /// What bounds the engine of a server, whose clients want to be heard while it scores.
    pub fn engine(&self) -> EngineOptions {
        EngineOptions { queue_rows: self.queue_rows, background: true, ..self.model.engine() }
    }

    /// What the server binds and how long it waits.
    ///
    /// # Errors
    /// [`Error::Invalid`] for tokens that cannot be used, and an address where anybody could come in unasked; as
    /// [`ServeArgs::catalog`].
    pub fn server(&self) -> Result<ServerConfig> {
        let authenticator = self.authenticator()?;
        let (memory, kept) = self.memory();
        let spool = self.spool()?;
        Ok(ServerConfig {
            flight: self.flight,
            http: self.http_address(),
            flight_limits: FlightLimits {
                message_bytes: self.max_message_mib * 1024 * 1024,
                streams: self.max_exchanges.get(),
                in_flight: IN_FLIGHT,
                stall_timeout: Duration::from_secs_f64(self.stall_timeout),
                idle_timeout: Duration::from_secs_f64(self.exchange_idle_timeout),
                stream_timeout: Duration::from_secs_f64(self.stream_timeout),
            },
            cog: self.cog(memory.clone(), kept),
            catalog: self.catalog(self.uploads.limits(kept.uploads), &spool)?,
            memory: memory.clone(),
            rest: rest::TableLimits {
                body_bytes: self.max_score_body as u64,
                message_bytes: self.max_message_mib * 1024 * 1024,
                requests: self.max_score_requests.get(),
                stall_timeout: Duration::from_secs_f64(self.stall_timeout),
                stream_timeout: Duration::from_secs_f64(self.stream_timeout),
                in_flight: IN_FLIGHT,
                memory: memory.clone(),
                spool,
            },
            page: !self.no_page,
            authenticator,
            tls: self.tls()?,
            connections: ConnectionLimits {
                connections: self.max_connections.get(),
                handshake: Duration::from_secs_f64(self.handshake_timeout),
                idle: Duration::from_secs_f64(self.idle_timeout),
                header_bytes: self.max_header_bytes,
            },
            drain_timeout: Duration::from_secs_f64(self.drain_timeout),
        })
    }

    /// Where what is too large for memory lies. A folder that was named must be of use.
    fn spool(&self) -> Result<Spool> {
        let folder = self.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
        let spool = Spool::new(folder, self.spool_limit as u64);
        if self.spool_dir.is_some() {
            spool.check().map_err(|error| Error::Invalid(format!("--spool-dir {error}")))?;
        }
        Ok(spool)
    }

    /// How the JSON entrypoint presents itself.
    fn cog(&self, memory: Memory, kept: Kept) -> Options {
        let mut limits = Limits::default();
        limits.predictions.retention.bytes = kept.predictions;
        limits.files.bytes = kept.files;
        if let Some(concurrent) = self.max_concurrent_predictions.or(self.cog_max_concurrency) {
            limits.predictions.concurrent = concurrent;
        }
        Options {
            limits,
            memory,
            webhook_token: self.webhook_auth_token.clone(),
            models: self.replicate_model.clone().into(),
        }
    }
}

impl ScoreArgs {
    /// Which machine this is of those that share the job.
    pub fn shard(&self) -> Option<Shard> {
        self.shard.and_then(|(number, of)| Shard::new(number, of))
    }

    /// How files are scored.
    pub fn job(&self, stores: &Stores) -> JobOptions {
        JobOptions {
            score: (&self.columns).into(),
            truth: self.truth.clone(),
            in_flight: self.remote.in_flight(),
            batch_rows: JOB_BATCH_ROWS,
            commit_every: COMMIT_EVERY,
            force: self.force,
            format: self.format,
            skip_existing: self.skip_existing,
            stores: stores.clone(),
        }
    }

    /// What a report says of the run, which began now.
    pub fn ran(&self, files: &ScoredFiles, model: &ModelInfo) -> Ran {
        let said = |name, value: Option<String>| value.map(|value| (name, value));
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
        let inputs: Vec<_> = files.inputs.iter().map(ToString::to_string).collect();
        let facts = [
            said("Revision", model.revision.clone()),
            said("Runs on", Some(format!("{}, {}", model.device, model.dtype))),
            said("Texts are cut at", Some(format!("{} tokens", model.max_length))),
            said("Input", list(&inputs)),
            said("Output", Some(files.output.to_string())),
            said("Text", list(&self.columns.text)),
            said("Truth", self.truth.clone()),
            said("Made by", Some(concat!("textflight ", env!("CARGO_PKG_VERSION")).to_owned())),
        ];
        Ran {
            began: SystemTime::now(),
            model: model.name.clone(),
            max_length: u32::try_from(model.max_length).ok(),
            facts: facts.into_iter().flatten().collect(),
        }
    }
}

impl From<ProgressStyle> for ProgressKind {
    fn from(style: ProgressStyle) -> Self {
        match style {
            ProgressStyle::Auto => Self::Auto,
            ProgressStyle::Bar => Self::Bar,
            ProgressStyle::Lines => Self::Lines,
            ProgressStyle::Json => Self::Json,
            ProgressStyle::None => Self::None,
        }
    }
}

impl From<&ColumnArgs> for ScoreOptions {
    fn from(args: &ColumnArgs) -> Self {
        Self {
            text: match &args.text[..] {
                [] => None,
                [name] => Some(TextColumns::one(name)),
                names => Some(TextColumns::Several(names.to_vec())),
            },
            labels: match args.labels {
                LabelStyle::Name => LabelKind::Name,
                LabelStyle::Id => LabelKind::Id,
            },
            details: args.details,
            probabilities: args.probabilities,
            label_column: args.label_column.clone(),
            confidence_column: args.confidence_column.clone(),
            columns: match &args.columns[..] {
                [all] if all == "all" => Columns::All,
                [new] if new == "new" => Columns::New,
                names => Columns::Named(names.to_vec()),
            },
            on_error: match args.on_error {
                ErrorStyle::Fail => OnError::Fail,
                ErrorStyle::Null => OnError::Null,
            },
        }
    }
}

impl CheckArgs {
    /// What is checked; `scratch` is where files go that nobody asked for.
    pub fn options(&self, scratch: &Path) -> CheckOptions {
        let base = !self.tiny;
        CheckOptions {
            device: self.device.clone(),
            cuda_libraries: self.cuda_libraries.clone(),
            kernels: self.kernels,
            work: self.work.clone().unwrap_or_else(|| scratch.to_owned()),
            size: if base { Size::Base } else { Size::Tiny },
            agreement_texts: self.agreement_texts.unwrap_or(if base { AGREEMENT_TEXTS } else { TINY_TEXTS }),
            rows: self.rows.unwrap_or(if base { MEASURED_TEXTS } else { TINY_TEXTS }),
            duration: self.seconds.map_or(if base { MEASUREMENT } else { Duration::ZERO }, Duration::from_secs_f64),
        }
    }
}

#[cfg(test)]
mod tests;
