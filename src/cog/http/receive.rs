//! A request's body, whole and in time.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use super::Shared;

/// Waits for the body before the handler sees the request, so that one that stops on its way holds nothing for ever.
pub(super) async fn whole(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let patience = shared.options.limits.body_time;
    let request = Request::from_parts(parts.clone(), body);
    match timeout(patience, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(rejection)) => rejection.into_response(),
        Err(_) => {
            let detail = format!("the body did not arrive within {} seconds", patience.as_secs_f64());
            (StatusCode::REQUEST_TIMEOUT, Json(json!({ "detail": detail }))).into_response()
        }
    }
}
