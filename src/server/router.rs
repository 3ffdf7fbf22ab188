//! The routes of the HTTP port, and who may come in.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;

use crate::auth::Token;
use crate::cog;

/// The JSON entrypoint's routes. With a token, requests must bring it, but for what says only whether the server is well.
pub fn router(json: &cog::http::Service, token: Option<Token>) -> Router {
    all(json, Router::new(), token)
}

/// Those, and others that the token is asked for as well.
pub fn all(json: &cog::http::Service, others: Router, token: Option<Token>) -> Router {
    json.open_routes().merge(json.routes().merge(others).layer(middleware::from_fn_with_state(token, check)))
}

/// Lets a request pass that brings the token, or every request where none is asked for.
async fn check(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    match token {
        Some(expected) if !expected.matches(header) => unauthorized(),
        _ => next.run(request).await,
    }
}

fn unauthorized() -> Response {
    let detail = "this server asks for its token: send `Authorization: Bearer TOKEN`";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "detail": detail }))).into_response()
}
