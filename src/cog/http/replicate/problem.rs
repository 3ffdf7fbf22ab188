//! Errors as Replicate gives them, `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::cog::predictions::Refusal;

/// The answers that are errors.
pub struct Problem;

impl Problem {
    pub fn not_found(detail: &str) -> Response {
        problem(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub fn bad_request(detail: &str) -> Response {
        problem(StatusCode::BAD_REQUEST, "Bad request", detail)
    }

    pub fn unprocessable(title: &str, detail: &str) -> Response {
        problem(StatusCode::UNPROCESSABLE_ENTITY, title, detail)
    }

    /// The client is to come again later.
    pub fn refused(refusal: &Refusal) -> Response {
        let (status, title) = match refusal {
            Refusal::AtCapacity => (StatusCode::TOO_MANY_REQUESTS, "Too many predictions"),
            Refusal::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not ready"),
        };
        let mut response = problem(status, title, &refusal.to_string());
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// A body that is no request.
    pub fn rejected(status: StatusCode, detail: &str) -> Response {
        problem(status, "Bad request", detail)
    }
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": title, "detail": detail, "status": status.as_u16() });
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, content_type, Json(body).0.to_string()).into_response()
}
