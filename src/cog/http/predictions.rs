//! `/predictions`, and `/trainings`, which are predictions by another name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Extension, Json, Router};
use serde_json::json;

use super::request::PredictionRequest;
use super::wishes::{is_asynchronous, wants_events};
use super::{Shared, reply};
use crate::cog::predictions::{NewPrediction, Prediction, Refusal, Started, Trace};
use crate::engine::Timings;
use crate::memory::Reservation;

/// A body; as in Cog, a request without a content type has none that counts.
type Body = Option<Json<PredictionRequest>>;

/// The memory that was reserved for a body, none for an empty one, and where the times of its rows go.
pub(super) type Claim = (Option<Extension<Reservation>>, Option<Extension<Arc<Timings>>>);

/// The same with what came beside its request.
pub(super) fn with_claim(request: NewPrediction, (memory, timings): Claim) -> NewPrediction {
    let memory = memory.map(|Extension(memory)| memory);
    let timings = timings.map(|Extension(timings)| timings).unwrap_or_default();
    NewPrediction { memory, timings, ..request }
}

/// By which name a client makes its predictions. Only the words of a refusal differ, and the order of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Prediction,
    Training,
}

/// The routes below `path`.
pub(super) fn routes(path: &str, task: Task) -> Router<Arc<Shared>> {
    Router::new()
        .route(path, post(create))
        .route(&format!("{path}/{{id}}"), put(create_named).get(find))
        .route(&format!("{path}/{{id}}/cancel"), post(cancel))
        .layer(Extension(task))
}

/// `POST /predictions`
async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(task): Extension<Task>,
    headers: HeaderMap,
    claim: Claim,
    body: Body,
) -> Response {
    let Json(request) = body.unwrap_or_default();
    if wants_events(&headers) {
        return reply::not_streaming(task);
    }
    run(&shared, &headers, request, claim).await
}

/// `PUT /predictions/{id}`: the same again, while it runs, does not run twice.
async fn create_named(
    State(shared): State<Arc<Shared>>,
    Extension(task): Extension<Task>,
    Path(id): Path<String>,
    headers: HeaderMap,
    claim: Claim,
    body: Body,
) -> Response {
    let Json(request) = body.unwrap_or_default();
    let wants_events = wants_events(&headers);
    let request = match request.named(id.clone(), task) {
        _ if wants_events && task == Task::Training => return reply::not_streaming(task),
        Err(violation) => return reply::unprocessable(&violation),
        Ok(_) if wants_events => return reply::not_streaming(task),
        Ok(request) => request,
    };
    // Before the input is looked at, as in Cog, and whether or not there is a slot.
    match shared.predictions.find_running(&id) {
        Some(running) => reply::snapshot(StatusCode::ACCEPTED, &running, shared.version()),
        None => run(&shared, &headers, request, claim).await,
    }
}

/// `GET /predictions/{id}`: beyond Cog, which has no such route.
async fn find(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.predictions.find(&id) {
        Some(prediction) => reply::snapshot(StatusCode::OK, &prediction, shared.version()),
        None => reply::unknown(),
    }
}

/// `POST /predictions/{id}/cancel`
async fn cancel(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let status = if shared.predictions.cancel(&id) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, Json(json!({}))).into_response()
}

async fn run(shared: &Shared, headers: &HeaderMap, request: PredictionRequest, claim: Claim) -> Response {
    let request = match request.into_prediction(Trace::of(headers), &shared.uploads) {
        // Without a model Cog has no schema either.
        Err(violation) if shared.model.model().is_some() => return reply::unprocessable(&violation),
        Err(_) => return reply::refused(&Refusal::loading()),
        Ok(request) => request,
    };
    let prediction = match shared.predictions.start(with_claim(request, claim)) {
        Ok(Started::Now(prediction)) => prediction,
        Ok(Started::Before(running)) => return reply::snapshot(StatusCode::ACCEPTED, &running, shared.version()),
        Err(refusal) => return reply::refused(&refusal),
    };
    if is_asynchronous(headers) {
        return reply::accepted(&prediction);
    }
    let waiting = CancelOnDrop(prediction);
    let course = waiting.0.ended().await;
    reply::ended(&waiting.0, &course, shared.version())
}

/// A client that hangs up drops the future that waits, and so cancels what it waits for.
struct CancelOnDrop(Arc<Prediction>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // After its end this is of no effect.
        self.0.cancel();
    }
}
