//! The OpenAPI document: Cog's for this predictor, and what we answer beyond it.

use axum::http::header;
use axum::response::IntoResponse;

use crate::{Error, Result};

pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(super) async fn get() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// The document on one line, as an image's label holds it.
///
/// # Errors
/// [`Error::Failed`] when it is no JSON: a fault of the build.
pub fn openapi() -> Result<String> {
    let document: serde_json::Value =
        serde_json::from_str(DOCUMENT).map_err(|e| Error::Failed(format!("the OpenAPI document: {e}")))?;
    Ok(document.to_string())
}
