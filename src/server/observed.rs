//! Requests and calls as they pass: counted when they begin, and when the last of their answers is made.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::Error;
use crate::error::ErrorKind;
use crate::flight;
use crate::metrics::{PortMetrics, RequestOpen};

/// Where no route of ours was asked for.
const OTHER: &str = "other";

/// gRPC's codes by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A call whose client went before its end.
const CANCELLED: &str = CODES[1];

/// The same of a request that had no answer yet, as nginx says it.
const CLIENT_CLOSED_REQUEST: &str = "499";

/// Counts what passes through a port's router of HTTP requests.
pub fn observe_requests(metrics: PortMetrics, router: Router) -> Router {
    router.layer(middleware::from_fn_with_state(metrics, request))
}

/// The same of calls of gRPC.
pub fn observe_calls(metrics: PortMetrics, router: Router) -> Router {
    router.layer(middleware::from_fn_with_state(metrics, call))
}

async fn request(State(metrics): State<PortMetrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(Cow::Borrowed(OTHER), |route| Cow::Owned(route.as_str().to_owned()));
    let mut open =
        Open { request: Some(metrics.begin(route)), code: Cow::Borrowed(CLIENT_CLOSED_REQUEST), error: None };
    let response = next.run(request).await;
    open.code = Cow::Owned(response.status().as_str().to_owned());
    open.error = response.extensions().get().copied().or_else(|| kind_of(response.status()));
    open.follow(response)
}

async fn call(State(metrics): State<PortMetrics>, request: Request, next: Next) -> Response {
    let route = flight::call_name(request.uri().path()).unwrap_or(OTHER);
    let mut open = Open { request: Some(metrics.begin(route)), code: Cow::Borrowed(CANCELLED), error: None };
    let response = next.run(request).await;
    // What is refused at once has its trailers for a head.
    open.read(response.headers());
    if response.status() != StatusCode::OK {
        open.code = Cow::Borrowed(CODES[2]);
    }
    open.follow(response)
}

/// What kind of error a status stands for, where its answer does not say: what leads nowhere is none of ours.
const fn kind_of(status: StatusCode) -> Option<ErrorKind> {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_ACCEPTABLE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Some(ErrorKind::INVALID),
        StatusCode::UNAUTHORIZED => Some(ErrorKind::UNAUTHENTICATED),
        StatusCode::FORBIDDEN => Some(ErrorKind::DENIED),
        StatusCode::PAYLOAD_TOO_LARGE => Some(ErrorKind::TOO_LARGE),
        StatusCode::REQUEST_TIMEOUT => Some(ErrorKind::STALLED),
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(ErrorKind::BUSY),
        StatusCode::INTERNAL_SERVER_ERROR => Some(ErrorKind::FAILED),
        _ => None,
    }
}

/// What kind of error of ours broke a body off, if one did.
fn broken_by(error: &axum::Error) -> Option<ErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours.kind());
        }
        cause = error.source();
    }
    None
}

/// A request with what its end will be, as far as is known.
struct Open {
    request: Option<RequestOpen>,
    code: Cow<'static, str>,
    error: Option<ErrorKind>,
}

impl Open {
    /// Reads how a call ends, if that is said here.
    fn read(&mut self, trailers: &HeaderMap) {
        let number = |name| trailers.get(name)?.to_str().ok()?.parse::<usize>().ok();
        if let Some(code) = number("grpc-status") {
            self.code = Cow::Borrowed(CODES.get(code).copied().unwrap_or(CODES[2]));
        }
        let kind = trailers.get(flight::ERROR_KIND).and_then(|kind| ErrorKind::named(kind.to_str().ok()?));
        self.error = kind.or(self.error);
    }

    /// Counts the request when the last of `response` is made.
    fn follow(self, response: Response) -> Response {
        response.map(|body| {
            let mut observed = Observed { body, open: self };
            observed.end_with_body();
            Body::new(observed)
        })
    }

    fn end(&mut self) {
        if let Some(request) = self.request.take() {
            request.end(self.code.clone(), self.error);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end();
    }
}

/// A body whose request is counted before its reader has the last of it.
struct Observed {
    body: Body,
    open: Open,
}

impl Observed {
    fn end_with_body(&mut self) {
        if self.body.is_end_stream() {
            self.open.end();
        }
    }
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => self.open.end(),
            Some(Err(error)) => {
                // It has begun well, and does not end so.
                self.open.error = broken_by(error).or(self.open.error);
                self.open.end();
            }
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => {
                    self.open.read(trailers);
                    self.open.end();
                }
                None => self.end_with_body(),
            },
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
