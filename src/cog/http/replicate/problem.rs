//! Errors as Replicate gives them, `application/problem+json` (RFC 9457).

use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Error;
use crate::cog::http::request::Violation;
use crate::cog::predictions::Refusal;

/// An answer that is an error.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", detail: detail.into() }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "Bad request", detail: detail.into() }
    }

    pub fn method_not_allowed() -> Self {
        let detail = "this resource knows no such method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, title: "Method not allowed", detail }
    }

    pub fn unprocessable(title: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, title, detail: detail.into() }
    }
}

impl From<Refusal> for Problem {
    /// The client is to come again later.
    fn from(refusal: Refusal) -> Self {
        let (status, title) = match refusal {
            Refusal::AtCapacity => (StatusCode::TOO_MANY_REQUESTS, "Too many predictions"),
            Refusal::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not ready"),
            Refusal::NoMemory(_) => (StatusCode::SERVICE_UNAVAILABLE, "At capacity"),
            Refusal::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
        };
        Self { status, title, detail: refusal.to_string() }
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        Self::unprocessable("Input validation failed", violation.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), title: "Bad request", detail: rejection.body_text() }
    }
}

impl From<MultipartRejection> for Problem {
    fn from(rejection: MultipartRejection) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, title: "Invalid file", detail: rejection.body_text() }
    }
}

impl From<MultipartError> for Problem {
    fn from(error: MultipartError) -> Self {
        Self { status: error.status(), title: "Invalid file", detail: error.body_text() }
    }
}

impl From<Error> for Problem {
    /// Why a file was not kept.
    fn from(error: Error) -> Self {
        let status = match error {
            Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, title: "The file is not kept", detail: error.to_string() }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, title, detail } = self;
        let body = json!({ "type": "about:blank", "title": title, "detail": detail, "status": status.as_u16() });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, body.to_string()).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
