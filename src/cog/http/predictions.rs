//! `/predictions`, and `/trainings`, which are predictions by another name.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::request::PredictionRequest;
use super::{Shared, reply, wants};
use crate::cog::predictions::{Prediction, Started, Trace};

/// A body; as in Cog, a request without a content type has none that counts.
type Body = Option<Json<PredictionRequest>>;

/// `POST /predictions`
pub(super) async fn create(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let Json(request) = body.unwrap_or_default();
    run(&shared, &headers, request).await
}

/// `PUT /predictions/{id}`: the same again, while it runs, does not run twice.
pub(super) async fn create_named(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Json(request) = body.unwrap_or_default();
    let request = match request.named(id.clone()) {
        Ok(request) => request,
        Err(violation) => return reply::unprocessable(&violation),
    };
    // Before the input is looked at, as in Cog, and whether or not there is a slot.
    match shared.predictions.find_running(&id) {
        Some(running) => reply::snapshot(StatusCode::ACCEPTED, &running, shared.version()),
        None => run(&shared, &headers, request).await,
    }
}

/// `GET /predictions/{id}`: beyond Cog, which has no such route.
pub(super) async fn find(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.predictions.find(&id) {
        Some(prediction) => reply::snapshot(StatusCode::OK, &prediction, shared.version()),
        None => reply::unknown(),
    }
}

/// `POST /predictions/{id}/cancel`
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let status = if shared.predictions.cancel(&id) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, Json(json!({}))).into_response()
}

async fn run(shared: &Shared, headers: &HeaderMap, request: PredictionRequest) -> Response {
    if wants(headers, &header::ACCEPT, "text/event-stream") {
        return reply::not_streaming();
    }
    let request = match request.into_prediction(Trace::of(headers)) {
        Ok(request) => request,
        Err(violation) => return reply::unprocessable(&violation),
    };
    let prediction = match shared.predictions.start(request) {
        Ok(Started::Now(prediction)) => prediction,
        Ok(Started::Before(running)) => return reply::snapshot(StatusCode::ACCEPTED, &running, shared.version()),
        Err(refusal) => return reply::refused(&refusal),
    };
    if wants(headers, &HeaderName::from_static("prefer"), "respond-async") {
        return reply::accepted(&prediction);
    }
    let waiting = CancelOnDrop(prediction);
    let progress = waiting.0.ended().await;
    reply::ended(&waiting.0, &progress, shared.version())
}

/// A client that hangs up drops the future that waits, and so cancels what it waits for.
struct CancelOnDrop(Arc<Prediction>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // After its end this is of no effect.
        self.0.cancel();
    }
}
