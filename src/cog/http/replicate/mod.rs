//! `/v1`: the part of Replicate's API that its Python client calls to run one model.

mod model;
mod prediction;
mod problem;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

pub use self::model::ModelName;
use self::problem::Problem;
use super::Shared;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/predictions", post(prediction::create).get(prediction::list))
        .route("/predictions/{id}", get(prediction::find))
        .route("/predictions/{id}/cancel", post(prediction::cancel))
        .route("/models/{owner}/{name}", get(model::get))
        .route("/models/{owner}/{name}/predictions", post(prediction::create_for_model))
        .route("/models/{owner}/{name}/versions", get(model::versions))
        .route("/models/{owner}/{name}/versions/{version}", get(model::version))
        .route("/files", post(no_files))
        .fallback(async || Problem::not_found("no such resource"))
}

/// An uploaded file would reach the predictor as an address, which it would score as a text.
async fn no_files() -> Response {
    Problem::unprocessable(
        "Files are not taken",
        "this server takes files inside the input: use replicate.run(..., file_encoding_strategy=\"base64\")",
    )
}
