//! `/v1/predictions`

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::request::{CreateRequest, wait};
use super::{Problem, model};
use crate::cog::http::Shared;
use crate::cog::http::reply::Input;
use crate::cog::http::time::rfc3339;
use crate::cog::output::Output;
use crate::cog::predictions::{Failure, Metrics, Prediction, Progress, Started, Status, Trace};

type Body = Result<Json<CreateRequest>, JsonRejection>;

/// Predictions on one page of the list.
const PAGE: usize = 100;

/// `POST /v1/predictions`, which names a version.
pub async fn create(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let request = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return Problem::rejected(rejection.status(), &rejection.body_text()),
    };
    let Some(version) = &request.version else {
        return Problem::unprocessable("Input validation failed", "- version is required");
    };
    let (name, id) = version.rsplit_once(':').map_or((None, version.as_str()), |(name, id)| (Some(name), id));
    let is_ours = id == shared.version() && name.is_none_or(|name| name == shared.options.model.to_string());
    if shared.loaded.get().is_some() && !is_ours {
        let detail = format!("no version {version}; this server serves {}:{}", shared.options.model, shared.version());
        return Problem::unprocessable("Invalid version or not permitted", &detail);
    }
    run(&shared, &headers, request).await
}

/// `POST /v1/models/{owner}/{name}/predictions`, whatever the version.
pub async fn create_for_model(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(problem) = model::other(&shared, &owner, &name) {
        return problem;
    }
    match body {
        Ok(Json(request)) => run(&shared, &headers, request).await,
        Err(rejection) => Problem::rejected(rejection.status(), &rejection.body_text()),
    }
}

async fn run(shared: &Shared, headers: &HeaderMap, request: CreateRequest) -> Response {
    let request = match request.into_cog().into_prediction(Trace::of(headers)) {
        Ok(request) => request,
        Err(violation) => return Problem::unprocessable("Input validation failed", &violation.to_string()),
    };
    let prediction = match shared.predictions.start(request) {
        Ok(Started::Now(prediction) | Started::Before(prediction)) => prediction,
        Err(refusal) => return Problem::refused(&refusal),
    };
    let ended = match wait(headers) {
        Some(patience) => timeout(patience, prediction.ended()).await.ok(),
        None => None,
    };
    // A client takes any other status than `starting` for the end.
    let progress = ended.unwrap_or_default();
    (StatusCode::CREATED, Json(Shown::new(shared, headers, &prediction, &progress))).into_response()
}

/// `GET /v1/predictions/{id}`
pub async fn find(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    match shared.predictions.find(&id) {
        Some(prediction) => show(&shared, &headers, &prediction),
        None => unknown(),
    }
}

/// `POST /v1/predictions/{id}/cancel`: the answer is the prediction as it ended.
pub async fn cancel(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let Some(prediction) = shared.predictions.find(&id) else {
        return unknown();
    };
    prediction.cancel();
    prediction.ended().await;
    show(&shared, &headers, &prediction)
}

/// Where a page of the list begins.
#[derive(Deserialize)]
pub struct Cursor {
    /// After the prediction of this id.
    cursor: Option<String>,
}

/// `GET /v1/predictions`, the newest first.
pub async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap, Query(from): Query<Cursor>) -> Response {
    let all = shared.predictions.list();
    let first = match &from.cursor {
        None => 0,
        Some(id) => match all.iter().position(|prediction| prediction.id == *id) {
            Some(last) => last + 1,
            None => return Problem::bad_request("the cursor's prediction is gone: list from the beginning"),
        },
    };
    let page = &all[first..all.len().min(first + PAGE)];
    let next = page.last().filter(|_| first + page.len() < all.len());
    let next = next.map(|last| format!("{}/v1/predictions?cursor={}", base(&headers), escaped(&last.id)));
    let progress: Vec<Progress> = page.iter().map(|prediction| prediction.progress()).collect();
    let results: Vec<Shown> =
        page.iter().zip(&progress).map(|(p, progress)| Shown::new(&shared, &headers, p, progress)).collect();
    Json(json!({ "next": next, "previous": null, "results": results })).into_response()
}

fn show(shared: &Shared, headers: &HeaderMap, prediction: &Prediction) -> Response {
    Json(Shown::new(shared, headers, prediction, &prediction.progress())).into_response()
}

fn unknown() -> Response {
    Problem::not_found("no such prediction: it was never made, or ended too long ago")
}

/// A prediction as Replicate shows it.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    model: String,
    version: &'a str,
    input: Input<'a>,
    output: Option<&'a Output>,
    logs: &'static str,
    error: Option<String>,
    status: Status,
    metrics: Metrics,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    data_removed: bool,
    source: &'static str,
    urls: Urls,
}

#[derive(Serialize)]
struct Urls {
    get: String,
    cancel: String,
}

impl<'a> Shown<'a> {
    fn new(shared: &'a Shared, headers: &HeaderMap, prediction: &'a Prediction, progress: &'a Progress) -> Self {
        let url = format!("{}/v1/predictions/{}", base(headers), escaped(&prediction.id));
        Self {
            id: &prediction.id,
            model: shared.options.model.to_string(),
            version: shared.version(),
            input: Input { texts: &prediction.texts },
            output: progress.output().map(AsRef::as_ref),
            logs: "",
            error: progress.failure().map(Failure::message),
            status: progress.status(),
            metrics: progress.metrics(),
            created_at: rfc3339(prediction.created_at),
            started_at: progress.started.map(|(at, _)| rfc3339(at)),
            completed_at: progress.ended.as_ref().map(|(at, _, _)| rfc3339(*at)),
            data_removed: false,
            source: "api",
            urls: Urls { cancel: format!("{url}/cancel"), get: url },
        }
    }
}

/// How the client reached us.
fn base(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = text(header::HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// `id` as a part of an address: a client may have chosen any.
fn escaped(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, NON_ALPHANUMERIC)
}
