//! The predictor over HTTP, as Cog's server offers it.
//!
//! Synchronous predictions only. What Cog can do besides (asynchronous predictions, webhooks, cancelling by id,
//! trainings, `/openapi.json`) answers 501 and says so, rather than do half of it.

mod field;
mod health;
mod id;
mod reply;
mod request;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::health::HealthCheck;
pub use self::health::Setup;
use self::request::PredictionRequest;
use super::predict::Predictor;
use crate::engine::Lane;

/// The Cog whose contract this server keeps.
const COG_VERSION: &str = "0.23.1";

/// Bounds on what a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body_bytes: usize,
}

impl Default for Limits {
    /// Cog's: 100 MiB.
    fn default() -> Self {
        Self { body_bytes: super::MAX_INPUT_BYTES }
    }
}

/// What the handlers share.
struct Service {
    predictor: Predictor,
    setup: Setup,
}

/// The routes of the predictor. `setup` is what its health check tells of the model's loading.
pub fn router(predictor: Predictor, setup: Setup, limits: Limits) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/health-check", get(health_check))
        .route("/predictions", post(create_prediction))
        .route("/predictions/{id}", put(not_implemented))
        .route("/predictions/{id}/cancel", post(not_implemented))
        .route("/trainings", post(not_implemented))
        .route("/trainings/{id}", put(not_implemented))
        .route("/trainings/{id}/cancel", post(not_implemented))
        .route("/openapi.json", get(not_implemented))
        .route("/shutdown", post(not_implemented))
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .with_state(Arc::new(Service { predictor, setup }))
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

async fn health_check(State(service): State<Arc<Service>>) -> Json<HealthCheck> {
    let engine = service.predictor.engine();
    Json(HealthCheck::new(engine, service.setup))
}

async fn not_implemented(method: Method, uri: Uri) -> Response {
    reply::not_implemented(&format!("{method} {}", uri.path()))
}

/// Scores the texts of the body. A client that hangs up drops this future, and with it the work.
async fn create_prediction(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Option<Json<PredictionRequest>>,
) -> Response {
    // As in Cog, a request without a content type has no body that counts.
    let Json(request) = body.unwrap_or_default();
    if let Some(refusal) = unsupported(&headers, &request) {
        return refusal;
    }
    let id = request.id.clone().unwrap_or_else(id::generate);
    let texts = match request.into_texts() {
        Ok(texts) => texts,
        Err(violation) => return reply::unprocessable(&violation),
    };
    let start = Instant::now();
    let result = service.predictor.predict(&texts, Lane::Interactive).await;
    reply::prediction(id, result, start.elapsed())
}

/// The answer to a request that wants its result in a way that we do not have.
fn unsupported(headers: &HeaderMap, request: &PredictionRequest) -> Option<Response> {
    let wants = |name, value: &str| {
        let header = headers.get(name).and_then(|found| found.to_str().ok());
        header.is_some_and(|found| found.contains(value))
    };
    if wants(header::ACCEPT, "text/event-stream") {
        Some(reply::not_streaming())
    } else if wants(header::HeaderName::from_static("prefer"), "respond-async") {
        Some(reply::not_implemented("`Prefer: respond-async`"))
    } else if request.webhook.is_some() {
        Some(reply::not_implemented("`webhook`"))
    } else {
        None
    }
}
