//! The routes of both ports, and who may come in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tracing::{Instrument, debug, info_span};

use super::connection::Peer;
use crate::auth::{Authenticator, Denied};
use crate::page::WebPage;
use crate::{cog, flight};

/// The JSON entrypoint's routes. Where tokens are asked for, requests must bring one, but for what says only whether the server
/// is well.
pub fn router(json: &cog::http::Service, authenticator: Authenticator) -> Router {
    all(json, None, Router::new(), authenticator)
}

/// Those, with the page for browsers if there is one, and others that a token is asked for as well.
pub fn all(json: &cog::http::Service, page: Option<&WebPage>, others: Router, authenticator: Authenticator) -> Router {
    let door = Door { authenticator, is_open: |_| false, refusal };
    let (mut open, mut guarded) = (json.open_routes(), json.routes().merge(others));
    if let Some(page) = page {
        (open, guarded) = (WebPage::before(open), guarded.merge(page.routes()));
    }
    open.merge(door.before(guarded))
}

/// The same for the calls of the Flight port.
pub fn calls(calls: Router, authenticator: Authenticator) -> Router {
    Door { authenticator, is_open: flight::is_open, refusal: flight::refusal }.before(calls)
}

/// Who may come in, and what others hear.
#[derive(Clone)]
struct Door {
    authenticator: Authenticator,
    /// Whether everybody may ask for a path.
    is_open: fn(&str) -> bool,
    refusal: fn(Denied) -> Response,
}

impl Door {
    fn before(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, enter))
    }
}

/// Lets a request pass that may, under the name of whom it comes from.
async fn enter(State(door): State<Door>, request: Request, next: Next) -> Response {
    if (door.is_open)(request.uri().path()) {
        return next.run(request).await;
    }
    let name = match door.authenticator.admit(request.headers()) {
        Ok(name) => name.or_else(|| request.extensions().get::<Peer>().map(|peer| Arc::clone(&peer.0))),
        Err(denied) => {
            debug!(?denied, "a request was refused");
            return (door.refusal)(denied);
        }
    };
    match name {
        None => next.run(request).await,
        Some(name) => next.run(request).instrument(info_span!("request", from = &*name)).await,
    }
}

fn refusal(denied: Denied) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "detail": denied.to_string() }))).into_response()
}
