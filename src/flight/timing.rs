//! How long the rows of a call waited and were computed: in the trailers of the calls that score, however they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::Service;

use super::names::call_name;
use crate::engine::Timings;

/// The trailers' names.
const QUEUE: &str = "x-textflight-queue-seconds";
const COMPUTE: &str = "x-textflight-compute-seconds";

/// The same service, whose calls find a [`Timings`] beside their request, and say in their trailers what it shows.
#[derive(Clone)]
pub struct Timed<S>(pub S);

/// The timings of a call: those of whoever asked for them before, or new ones.
pub fn timings(extensions: &Extensions) -> Arc<Timings> {
    extensions.get::<Arc<Timings>>().cloned().unwrap_or_default()
}

impl<S, R, B> Service<Request<R>> for Timed<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + Unpin + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let is_scoring = matches!(call_name(request.uri().path()), Some("DoExchange" | "DoGet"));
        if !is_scoring {
            return self.0.call(request).map(|response| response.map(|response| response.map(Body::new))).boxed();
        }
        let timings = timings(request.extensions());
        request.extensions_mut().insert(Arc::clone(&timings));
        self.0.call(request).map(|response| response.map(|response| timed(response, timings))).boxed()
    }
}

fn timed<B>(mut response: Response<B>, timings: Arc<Timings>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + Unpin + 'static,
{
    // What is refused at once has its trailers for a head.
    if response.headers().contains_key("grpc-status") {
        write(&timings, response.headers_mut());
    }
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                write(&timings, trailers);
            }
            frame
        }))
    })
}

fn write(timings: &Timings, trailers: &mut HeaderMap) {
    let seconds = |time: Duration| HeaderValue::try_from(format!("{:.6}", time.as_secs_f64())).ok();
    for (name, time) in [(QUEUE, timings.queue()), (COMPUTE, timings.compute())] {
        trailers.extend(seconds(time).map(|seconds| (http::HeaderName::from_static(name), seconds)));
    }
}
