//! The answers: status codes and bodies as Cog gives them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::predictions::Task;
use super::request::Violation;
use super::time::rfc3339;
use crate::cog::output::Output;
use crate::cog::predictions::{Course, Failure, Metrics, Prediction, Refusal, Status};
use crate::error::Error;

/// A prediction as Cog shows it. The times and the version were Cog's before its present server, and clients read them.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Input<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    logs: &'static str,
    status: Status,
    metrics: Metrics,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    version: &'a str,
}

/// The input as it came.
#[derive(Serialize)]
pub(super) struct Input<'a> {
    pub(super) texts: &'a str,
}

impl<'a> Shown<'a> {
    fn new(prediction: &'a Prediction, course: &'a Course, version: &'a str) -> Self {
        Self {
            id: &prediction.id,
            input: None,
            output: course.output().map(AsRef::as_ref),
            error: course.failure().map(Failure::message),
            logs: "",
            status: course.status(),
            metrics: course.metrics(),
            created_at: rfc3339(prediction.created_at),
            started_at: course.started.map(|(at, _)| rfc3339(at)),
            completed_at: course.ended.as_ref().map(|(at, _, _)| rfc3339(*at)),
            version,
        }
    }
}

/// What a prediction came to. To a client of Cog a failure is a result like any other, unless it never began.
pub(super) fn ended(prediction: &Prediction, course: &Course, version: &str) -> Response {
    let mut response = match course.failure() {
        Some(Failure::Engine(Error::Stopped(cause) | Error::Cancelled(cause))) => {
            failed(StatusCode::SERVICE_UNAVAILABLE, cause)
        }
        Some(Failure::Engine(Error::TooLarge(limit))) => too_large(limit),
        _ => Json(Shown::new(prediction, course, version)).into_response(),
    };
    if let Some(failure) = course.failure() {
        // For what counts errors; nothing of it is sent.
        response.extensions_mut().insert(failure.kind());
    }
    response
}

/// What has become of a prediction, with its input for those who did not send it.
pub(super) fn snapshot(status: StatusCode, prediction: &Prediction, version: &str) -> Response {
    let course = prediction.course();
    let input = Some(Input { texts: &prediction.texts });
    (status, Json(Shown { input, ..Shown::new(prediction, &course, version) })).into_response()
}

/// The answer to a client that does not wait.
pub(super) fn accepted(prediction: &Prediction) -> Response {
    let body = json!({ "id": prediction.id, "status": Status::Starting });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// The answer to a prediction that could not even start.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::AtCapacity | Refusal::NoMemory(_) => StatusCode::CONFLICT,
        Refusal::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::TooLarge(limit) => return too_large(limit),
    };
    let mut response = failed(status, &refusal.to_string());
    if status == StatusCode::CONFLICT {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn too_large(limit: &str) -> Response {
    (StatusCode::PAYLOAD_TOO_LARGE, Json(json!({ "detail": limit }))).into_response()
}

fn failed(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error, "status": "failed" }))).into_response()
}

/// The answer to who looks for a prediction that is not there.
pub(super) fn unknown() -> Response {
    let detail = "no such prediction: it was never made, or ended too long ago";
    (StatusCode::NOT_FOUND, Json(json!({ "detail": detail }))).into_response()
}

/// The answer to a request that breaks the schema.
pub(super) fn unprocessable(violation: &Violation) -> Response {
    let body = json!({ "detail": [violation] });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// The answer to a request for an event stream.
pub(super) fn not_streaming(task: Task) -> Response {
    let error = match task {
        Task::Prediction => {
            "This model does not support streaming responses. Add @cog.streaming to predict() to enable SSE."
        }
        Task::Training => "Training endpoints do not support streaming responses.",
    };
    (StatusCode::NOT_ACCEPTABLE, Json(json!({ "error": error }))).into_response()
}
