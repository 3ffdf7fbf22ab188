//! Why a request is refused, as a status and a JSON body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::warn;

use crate::Error;
use crate::error::ErrorKind;

/// An answer that is an error.
#[derive(Debug)]
pub enum Rejection {
    /// The body is of a type that is not taken, or packed in a way that is not.
    UnsupportedType(String),
    /// The client takes no type that can be given.
    NotAcceptable(String),
    /// All else.
    Failed(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let (status, kind, detail) = match self {
            Self::UnsupportedType(detail) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorKind::INVALID, detail),
            Self::NotAcceptable(detail) => (StatusCode::NOT_ACCEPTABLE, ErrorKind::INVALID, detail),
            Self::Failed(error) => (status_of(&error), error_kind(&error), error.to_string()),
        };
        if status.is_server_error() {
            warn!(status = status.as_u16(), detail, "a table was not scored");
        }
        let mut response = (status, Json(json!({ "detail": detail }))).into_response();
        // For what counts errors; nothing of it is sent.
        response.extensions_mut().insert(kind);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Which kind an error counts as. A file that cannot be read is no fault of the server's.
pub fn error_kind(error: &Error) -> ErrorKind {
    match error {
        Error::File { .. } => ErrorKind::INVALID,
        error => error.kind(),
    }
}

/// What an error is to a client of HTTP. A file that cannot be read is the one that it sent.
fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid(_) | Error::NotText { .. } | Error::File { .. } => StatusCode::BAD_REQUEST,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Denied(_) => StatusCode::FORBIDDEN,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Stalled(_) => StatusCode::REQUEST_TIMEOUT,
        Error::Busy(_) | Error::Stopped(_) | Error::Cancelled(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Checkpoint(_) | Error::Unscorable { .. } | Error::Failed(_) | Error::OutOfMemory(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_may_pass_later_says_when() {
        for (error, status, kind) in [
            (Error::Invalid(String::new()), 400, ErrorKind::INVALID),
            (Error::file(Path::new("body"), "cut"), 400, ErrorKind::INVALID),
            (Error::Busy(String::new()), 503, ErrorKind::BUSY),
            (Error::Stopped(String::new()), 503, ErrorKind::STOPPED),
            (Error::TooLarge(String::new()), 413, ErrorKind::TOO_LARGE),
            (Error::Stalled(String::new()), 408, ErrorKind::STALLED),
            (Error::Failed(String::new()), 500, ErrorKind::FAILED),
        ] {
            let response = Rejection::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
            assert_eq!(response.extensions().get(), Some(&kind));
        }
    }
}
