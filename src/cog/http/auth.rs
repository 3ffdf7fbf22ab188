//! Who may come in, where a token is asked for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use crate::token;

/// Lets a request pass that carries the token, or every request where none is asked for.
pub(super) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match &shared.options.api_token {
        Some(expected) if !carries(request.headers(), expected) => unauthorized(),
        _ => next.run(request).await,
    }
}

fn carries(headers: &HeaderMap, expected: &str) -> bool {
    let header = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    header.is_some_and(|header| token::is_bearer(header, expected))
}

fn unauthorized() -> Response {
    let detail = "this server asks for its token: send `Authorization: Bearer TOKEN`";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "detail": detail }))).into_response()
}
