//! `/v1`: the part of Replicate's API that its Python client calls to run one model.

mod file;
mod model;
mod names;
mod prediction;
mod problem;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};

pub use self::names::{ModelName, ModelNames};
pub use self::problem::Problem;
use super::Shared;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/predictions", post(prediction::create).get(prediction::list))
        .route("/predictions/{id}", get(prediction::find))
        .route("/predictions/{id}/cancel", post(prediction::cancel))
        .route("/models", get(model::list))
        .route("/models/{owner}/{name}", get(model::get))
        .route("/models/{owner}/{name}/predictions", post(prediction::create_for_model))
        .route("/models/{owner}/{name}/versions", get(model::versions))
        .route("/models/{owner}/{name}/versions/{version}", get(model::version))
        .route("/deployments", get(model::deployments))
        .route("/deployments/{owner}/{name}", get(model::deployment))
        .route("/deployments/{owner}/{name}/predictions", post(prediction::create_for_model))
        .route("/files", post(file::create).get(file::list))
        .route("/files/{id}", get(file::find).delete(file::delete))
        .route("/files/{id}/download", get(file::download))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found("no such resource"))
}

/// How the client reached us.
fn base(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = text(header::HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}
