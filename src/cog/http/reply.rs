//! The answers: status codes and bodies as Cog gives them.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::request::Violation;
use crate::cog::output::Output;
use crate::cog::predict::PredictError;
use crate::error::Error;

/// A prediction that ran to its end, well or not.
#[derive(Serialize)]
struct Finished {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    logs: &'static str,
    status: &'static str,
    metrics: Metrics,
}

#[derive(Serialize)]
struct Metrics {
    /// In seconds.
    predict_time: f64,
}

/// What prediction `id` came to after `elapsed`.
pub(super) fn prediction(id: String, result: Result<Output, PredictError>, elapsed: Duration) -> Response {
    let (status, output, error) = match result {
        Ok(output) => ("succeeded", Some(output), None),
        Err(error) => match refusal(&error) {
            Some(refusal) => return refusal,
            // To a client of Cog the failure of a prediction is a result like any other.
            None => ("failed", None, Some(failure(&error))),
        },
    };
    let metrics = Metrics { predict_time: elapsed.as_secs_f64() };
    Json(Finished { id, output, error, logs: "", status, metrics }).into_response()
}

/// Why a prediction failed. Cog's server and its worker each put the same words in front.
fn failure(error: &PredictError) -> String {
    match error {
        PredictError::Input(error) => format!("Prediction failed: Prediction failed: {}", error.exception()),
        PredictError::Engine(error) => format!("Prediction failed: {error}"),
    }
}

/// The answer to a prediction that could not even start.
fn refusal(error: &PredictError) -> Option<Response> {
    let PredictError::Engine(error) = error else {
        return None;
    };
    match error {
        Error::Busy(_) => Some(failed(StatusCode::CONFLICT, "At capacity - all prediction slots busy")),
        Error::Stopped(cause) => Some(failed(StatusCode::SERVICE_UNAVAILABLE, cause)),
        Error::TooLarge(limit) => {
            Some((StatusCode::PAYLOAD_TOO_LARGE, Json(json!({ "detail": limit }))).into_response())
        }
        _ => None,
    }
}

fn failed(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error, "status": "failed" }))).into_response()
}

/// The answer to a request that breaks the schema.
pub(super) fn unprocessable(violation: &Violation) -> Response {
    let body = json!({ "detail": [violation] });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// The answer to a request for an event stream.
pub(super) fn not_streaming() -> Response {
    let error = "This model does not support streaming responses. \
        Add @cog.streaming to predict() to enable SSE.";
    (StatusCode::NOT_ACCEPTABLE, Json(json!({ "error": error }))).into_response()
}

/// The answer where Cog can do something that we cannot.
pub(super) fn not_implemented(what: &str) -> Response {
    let error = format!("{what} is not implemented: this server makes synchronous predictions, by POST /predictions");
    (StatusCode::NOT_IMPLEMENTED, Json(json!({ "error": error }))).into_response()
}
