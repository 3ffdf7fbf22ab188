//! Requests and calls as they pass: counted when they begin, and when the last of their answers is made.

use std::borrow::Cow;
use std::error::Error;
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
use tracing::Instrument;

use super::codes::CODES;
use super::spans::RequestSpan;
use crate::error::{ERROR_KIND, ErrorKind};
use crate::metrics::{PortMetrics, RequestOpen};
use crate::{flight, rest};

/// Where no route of ours was asked for.
const OTHER: &str = "other";

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

async fn request(State(metrics): State<PortMetrics>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let span = RequestSpan::of_request(&mut request, route.as_deref());
    let route = route.map_or(Cow::Borrowed(OTHER), Cow::Owned);
    let mut open =
        Open { request: Some(metrics.begin(route)), code: Cow::Borrowed(CLIENT_CLOSED_REQUEST), error: None, span };
    let response = next.run(request).instrument(open.span.span()).await;
    open.code = Cow::Owned(response.status().as_str().to_owned());
    open.error = response.extensions().get().copied().or_else(|| kind_of(response.status()));
    open.follow(response)
}

async fn call(State(metrics): State<PortMetrics>, mut request: Request, next: Next) -> Response {
    let route = flight::call_name(request.uri().path()).unwrap_or(OTHER);
    let span = RequestSpan::of_call(&mut request);
    let mut open = Open { request: Some(metrics.begin(route)), code: Cow::Borrowed(CANCELLED), error: None, span };
    let response = next.run(request).instrument(open.span.span()).await;
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

/// A request with what its end will be, as far as is known.
struct Open {
    request: Option<RequestOpen>,
    code: Cow<'static, str>,
    error: Option<ErrorKind>,
    span: RequestSpan,
}

impl Open {
    /// Reads how a call ends, if that is said here.
    fn read(&mut self, trailers: &HeaderMap) {
        let number = |name| trailers.get(name)?.to_str().ok()?.parse::<usize>().ok();
        if let Some(code) = number("grpc-status") {
            self.code = Cow::Borrowed(CODES.get(code).copied().unwrap_or(CODES[2]));
        }
        let kind = trailers.get(ERROR_KIND).and_then(|kind| ErrorKind::named(kind.to_str().ok()?));
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
            self.span.end(&self.code, self.error);
            request.end(self.code.clone(), self.error);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why an answer breaks off that had begun.
fn broken(error: &axum::Error) -> ErrorKind {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.find_map(|cause| cause.downcast_ref()).map_or(ErrorKind::FAILED, rest::error_kind)
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
                self.open.error = Some(broken(error));
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

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use futures::stream;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::Error;
    use crate::metrics::{ByLane, EngineMetrics, Format, Page, ServerMetrics, UploadCounts, UploadMetrics};

    /// What is counted once a route's answer has been read.
    async fn counted(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> String {
        let server = ServerMetrics::default();
        let route = Router::new().route("/a", get(move || std::future::ready(answer())));
        let response =
            observe_requests(server.port("http"), route).oneshot(Request::get("/a").body(Body::empty()).unwrap());
        drop(response.await.unwrap().into_body().collect().await);
        let page = Page {
            server: &server,
            engine: &EngineMetrics::default(),
            queue: ByLane::default(),
            memory: (0, 0),
            spool: (0, 0),
            uploads: (UploadMetrics::default(), UploadCounts::default()),
            model: None,
            is_ready: false,
        };
        page.render(Format::Text)
            .lines()
            .filter(|line| line.starts_with("textflight_errors_total") && !line.ends_with(" 0"))
            .collect()
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_counts_as_what_broke_it() {
        for (error, kind) in [
            (Error::Stalled(String::new()), "stalled"),
            (Error::OutOfMemory(String::new()), "out_of_memory"),
            // Over HTTP the file is what the client sent.
            (Error::file(std::path::Path::new("body"), "cut"), "invalid"),
        ] {
            let answer =
                move || Body::from_stream(stream::iter([Ok(Bytes::from("a")), Err(error.clone())])).into_response();
            assert_eq!(counted(answer).await, format!(r#"textflight_errors_total{{port="http",kind="{kind}"}} 1"#));
        }
        let unknown =
            || Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))])).into_response();
        assert!(counted(unknown).await.contains(r#"kind="failed""#));
    }

    #[tokio::test]
    async fn a_status_counts_as_what_it_says() {
        for (status, kind) in
            [(401, "unauthenticated"), (403, "denied"), (415, "invalid"), (409, "busy"), (500, "failed")]
        {
            let status = StatusCode::from_u16(status).unwrap();
            let line = counted(move || status.into_response()).await;
            assert_eq!(line, format!(r#"textflight_errors_total{{port="http",kind="{kind}"}} 1"#));
        }
        assert_eq!(counted(|| StatusCode::OK.into_response()).await, "");
        assert_eq!(counted(|| StatusCode::NOT_FOUND.into_response()).await, "");
    }
}
