//! The predictor over HTTP, as Cog's server offers it, and under `/v1` as Replicate does.

mod health;
mod predictions;
mod receive;
mod replicate;
mod reply;
mod request;
mod schema;
mod sketch;
mod time;
mod wishes;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::health::{HealthCheck, Setup};
use self::predictions::Task;
pub use self::replicate::{ModelName, ModelNames};
pub use self::schema::openapi;
use super::COG_VERSION;
use super::predictions::{PredictionLimits, Predictions, Retention};
use super::uploads::Uploads;
use crate::auth::Token;
use crate::memory::Memory;
use crate::readiness::Readiness;

/// Bounds on what clients may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body_bytes: usize,
    /// How long a request body may take to arrive.
    pub body_time: Duration,
    /// How many predictions run, and which can still be read.
    pub predictions: PredictionLimits,
    /// Which uploaded files are kept.
    pub files: Retention,
}

impl Default for Limits {
    /// Cog's 100 MiB a body, in two minutes; a thousand predictions at a time, and as many to be read for an hour, in 64 MiB;
    /// a thousand files for an hour, in 128 MiB, so that one of the largest fits.
    fn default() -> Self {
        let retention = Retention { count: 1000, bytes: 64 * 1024 * 1024, age: Duration::from_hours(1) };
        Self {
            body_bytes: super::MAX_INPUT_BYTES,
            body_time: Duration::from_mins(2),
            predictions: PredictionLimits { concurrent: 1000, retention },
            files: Retention { bytes: 128 * 1024 * 1024, ..retention },
        }
    }
}

/// How the JSON entrypoint presents itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What bounds it.
    pub limits: Limits,
    /// What requests and their results are taken from.
    pub memory: Memory,
    /// Sent to webhooks in `Authorization: Bearer`.
    pub webhook_token: Option<Token>,
    /// What Replicate's clients call the model.
    pub models: ModelNames,
}

/// The JSON entrypoint, with or without its model. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// What the handlers share.
struct Shared {
    options: Options,
    predictions: Arc<Predictions>,
    uploads: Uploads,
    started_at: SystemTime,
    model: Readiness,
    shutdown: watch::Sender<bool>,
}

impl Service {
    /// A service that takes predictions once the model is there.
    pub fn new(options: Options, model: Readiness) -> Self {
        let (limits, token) = (options.limits.predictions, options.webhook_token.as_ref());
        let predictions = Arc::new(Predictions::new(limits, token, model.clone()));
        let (started_at, shutdown) = (SystemTime::now(), watch::Sender::new(false));
        let uploads = Uploads::new(options.limits.files);
        Self { shared: Arc::new(Shared { options, predictions, uploads, started_at, model, shutdown }) }
    }

    /// Waits for a client to ask for the server's end.
    pub async fn shutdown(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.shutdown.subscribe().wait_for(|asked| *asked).await;
    }

    /// Waits until no prediction runs and all webhooks were called; none is begun after.
    pub async fn drained(&self) {
        self.shared.predictions.drained().await;
    }

    /// The routes that say no more than whether the server is well.
    pub fn open_routes(&self) -> Router {
        let routes = Router::new().route("/", get(root)).route("/health-check", get(health_check));
        routes.with_state(Arc::clone(&self.shared))
    }

    /// All others, for those who may ask for something.
    pub fn routes(&self) -> Router {
        let shared = Arc::clone(&self.shared);
        Router::new()
            .route("/openapi.json", get(schema::get))
            .route("/shutdown", post(shutdown))
            .merge(predictions::routes("/predictions", Task::Prediction))
            .merge(predictions::routes("/trainings", Task::Training))
            .nest("/v1", replicate::routes())
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), receive::whole))
            .layer(DefaultBodyLimit::max(shared.options.limits.body_bytes))
            .with_state(shared)
    }
}

impl Shared {
    /// The checkpoint's version; empty while there is none.
    fn version(&self) -> &str {
        self.model.model().map_or("", |model| &model.version)
    }
}

async fn root() -> Json<Value> {
    Json(json!({
        "cog_version": COG_VERSION,
        "docs_url": "/docs",
        "openapi_url": "/openapi.json",
        "shutdown_url": "/shutdown",
        "healthcheck_url": "/health-check",
        "predictions_url": "/predictions",
        "predictions_idempotent_url": "/predictions/{prediction_id}",
        "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    }))
}

async fn health_check(State(shared): State<Arc<Shared>>) -> Json<HealthCheck> {
    let Some(served) = shared.model.model() else {
        return Json(HealthCheck::starting(shared.started_at));
    };
    let model = served.engine.model();
    let logs = format!("{} on {} in {}\n", model.name, model.device, model.dtype);
    let setup = Setup { started_at: shared.started_at, completed_at: served.loaded_at };
    Json(HealthCheck::new(&shared.predictions, served.engine.health(), logs, setup))
}

async fn shutdown(State(shared): State<Arc<Shared>>) -> Response {
    shared.shutdown.send_replace(true);
    (StatusCode::OK, Json(json!({}))).into_response()
}
