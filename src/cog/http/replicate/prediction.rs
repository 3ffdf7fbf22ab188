//! `/v1/predictions`

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::request::{CreateRequest, wait};
use super::{Problem, base, model};
use crate::cog::http::Shared;
use crate::cog::http::predictions::{Claim, with_claim};
use crate::cog::http::reply::Input;
use crate::cog::http::time::rfc3339;
use crate::cog::output::Output;
use crate::cog::predictions::{
    Asked, Course, Failure, Metrics, NewPrediction, Prediction, Refusal, Started, Status, Trace,
};

type Body = Result<Json<CreateRequest>, JsonRejection>;

const INVALID: &str = "Input validation failed";
/// Predictions on one page of the list.
const PAGE: usize = 100;

/// `POST /v1/predictions`, which names a version.
pub async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    claim: Claim,
    body: Body,
) -> Result<Response, Problem> {
    let Json(request) = body?;
    let asked = asked(&shared, request.version.as_deref())?;
    run(&shared, &headers, request, asked, claim).await
}

/// `POST /v1/models/{owner}/{name}/predictions`, whatever the version.
pub async fn create_for_model(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    claim: Claim,
    body: Body,
) -> Result<Response, Problem> {
    let asked = model::first_of(&shared, &owner, &name)?;
    let Json(request) = body?;
    run(&shared, &headers, request, asked, claim).await
}

/// The name and version that a reference means.
fn asked(shared: &Shared, version: Option<&str>) -> Result<Asked, Problem> {
    let reference = version.ok_or_else(|| Problem::unprocessable(INVALID, "- version is required"))?;
    if shared.model.model().is_none() {
        // Whether there is such a version is known once there is a model.
        return Err(Refusal::loading().into());
    }
    let names = &shared.options.models;
    names.resolve(reference, shared.version()).ok_or_else(|| {
        let detail = format!("no version {reference}; this server serves {names} and the version {}", shared.version());
        Problem::unprocessable("Invalid version or not permitted", detail)
    })
}

async fn run(
    shared: &Shared,
    headers: &HeaderMap,
    request: CreateRequest,
    asked: Asked,
    claim: Claim,
) -> Result<Response, Problem> {
    let request = request.into_cog().into_prediction(Trace::of(headers), &shared.uploads)?;
    let prediction =
        match shared.predictions.start(with_claim(NewPrediction { asked: Some(asked), ..request }, claim))? {
            Started::Now(prediction) | Started::Before(prediction) => prediction,
        };
    let ended = match wait(headers) {
        Some(patience) => timeout(patience, prediction.ended()).await.ok(),
        None => None,
    };
    // A client takes any other status than `starting` for the end.
    let course = ended.unwrap_or_default();
    Ok((StatusCode::CREATED, Json(Shown::new(shared, headers, &prediction, &course))).into_response())
}

/// `GET /v1/predictions/{id}`
pub async fn find(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let prediction = shared.predictions.find(&id).ok_or_else(unknown)?;
    Ok(show(&shared, &headers, &prediction))
}

/// `POST /v1/predictions/{id}/cancel`: the answer is the prediction as it ended.
pub async fn cancel(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let prediction = shared.predictions.find(&id).ok_or_else(unknown)?;
    prediction.cancel();
    prediction.ended().await;
    Ok(show(&shared, &headers, &prediction))
}

/// Where a page of the list begins.
#[derive(Deserialize)]
pub struct PageQuery {
    /// After the prediction of this id.
    cursor: Option<String>,
}

/// `GET /v1/predictions`, the newest first.
pub async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(from) = query?;
    let all = shared.predictions.list();
    let first = match &from.cursor {
        None => 0,
        Some(id) => {
            let last = all.iter().position(|prediction| prediction.id == *id);
            1 + last.ok_or_else(|| Problem::bad_request("the cursor's prediction is gone: list from the beginning"))?
        }
    };
    let page = &all[first..all.len().min(first + PAGE)];
    let next = page.last().filter(|_| first + page.len() < all.len());
    let next = next.map(|last| format!("{}/v1/predictions?cursor={}", base(&headers), escaped(&last.id)));
    let course: Vec<Course> = page.iter().map(|prediction| prediction.course()).collect();
    let results: Vec<Shown> =
        page.iter().zip(&course).map(|(p, course)| Shown::new(&shared, &headers, p, course)).collect();
    Ok(Json(json!({ "next": next, "previous": null, "results": results })).into_response())
}

fn show(shared: &Shared, headers: &HeaderMap, prediction: &Prediction) -> Response {
    Json(Shown::new(shared, headers, prediction, &prediction.course())).into_response()
}

fn unknown() -> Problem {
    Problem::not_found("no such prediction: it was never made, or ended too long ago")
}

/// A prediction as Replicate shows it.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    model: Cow<'a, str>,
    version: Cow<'a, str>,
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
    fn new(shared: &Shared, headers: &HeaderMap, prediction: &'a Prediction, course: &'a Course) -> Self {
        let (model, version) = match &prediction.asked {
            Some(asked) => (Cow::from(&asked.model), Cow::from(&asked.version)),
            None => {
                let any = shared.options.models.any(shared.version());
                (Cow::from(any.model), Cow::from(any.version))
            }
        };
        let url = format!("{}/v1/predictions/{}", base(headers), escaped(&prediction.id));
        Self {
            id: &prediction.id,
            model,
            version,
            input: Input { texts: &prediction.texts },
            output: course.output().map(AsRef::as_ref),
            logs: "",
            error: course.failure().map(Failure::message),
            status: course.status(),
            metrics: course.metrics(),
            created_at: rfc3339(prediction.created_at),
            started_at: course.started.map(|(at, _)| rfc3339(at)),
            completed_at: course.ended.as_ref().map(|(at, _, _)| rfc3339(*at)),
            data_removed: false,
            source: "api",
            urls: Urls { cancel: format!("{url}/cancel"), get: url },
        }
    }
}

/// `id` as a part of an address: a client may have chosen any.
fn escaped(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, NON_ALPHANUMERIC)
}
