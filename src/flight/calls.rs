//! Calls as they come: exchanges and uploads are read and answered by our own frames of gRPC, the rest by tonic's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tower::Service as _;

use super::answer::ANSWER_BYTES;
use super::inbound::{ENCODINGS, MessageEncoding};
use super::names::call_name;
use super::reply::Reply;
use super::request::{self, RequestLimits};
use super::serving::Flight;
use super::status::{to_status, trailers, unread_is_invalid};
use super::timing;
use crate::Result;

/// The Flight service over HTTP.
#[derive(Clone)]
pub struct Calls {
    service: Arc<Flight>,
    handshake: FlightServiceServer<Flight>,
    rest: FlightServiceServer<Flight>,
}

/// Bytes of the one message of most calls: names, descriptors, filters.
const REQUEST: usize = 64 * 1024;

impl Calls {
    /// The calls of a service.
    pub fn new(service: Flight) -> Self {
        let service = Arc::new(service);
        let limited = |bytes| {
            let rest = FlightServiceServer::from_arc(Arc::clone(&service)).max_decoding_message_size(bytes);
            rest.accept_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Zstd)
        };
        let (handshake, rest) = (limited(REQUEST), limited(ANSWER_BYTES + REQUEST));
        Self { service, handshake, rest }
    }

    /// Whatever is neither exchange nor upload. The memory of the request is held until the end of its answer.
    async fn rest(mut self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let encoding = MessageEncoding::of(request.headers())?;
        let bytes = match call_name(request.uri().path()) {
            // A stream that has bounds of its own.
            Some("Handshake") => return Ok(unread_is_invalid(answered(self.handshake.call(request).await))),
            // They bring back what they were given: tickets, and whole answers with these.
            Some("DoGet" | "DoAction") => ANSWER_BYTES + REQUEST,
            _ => REQUEST,
        };
        let (memory, patience) = (self.service.memory.clone(), self.service.limits.stall_timeout);
        let limits = RequestLimits { memory, bytes, patience };
        let (request, memory) = request::read(request, encoding, limits).await.map_err(|error| to_status(&error))?;
        let mut response = answered(self.rest.call(request).await);
        if let Some(reply) = response.extensions_mut().remove().and_then(Aside::take) {
            return Ok(answer(reply));
        }
        Ok(unread_is_invalid(response).map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _held = &memory;
                frame
            }))
        }))
    }
}

fn answered(answer: Result<Response<Body>, Infallible>) -> Response<Body> {
    answer.unwrap_or_else(|never| match never {})
}

/// A reply that goes past tonic's own writer: that would keep what its client leaves unread for as long as the client likes.
#[derive(Clone)]
pub struct Aside(Arc<Mutex<Option<Reply<Bytes>>>>);

impl Aside {
    /// The reply, beside an answer of tonic's.
    pub fn new(reply: Reply<Bytes>) -> Self {
        Self(Arc::new(Mutex::new(Some(reply))))
    }

    fn take(self) -> Option<Reply<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl NamedService for Calls {
    const NAME: &'static str = FlightServiceServer::<Flight>::NAME;
}

impl tower::Service<Request<Body>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let calls = self.clone();
        async move {
            let begin = match call_name(request.uri().path()) {
                Some("DoExchange") => Flight::exchange,
                Some("DoPut") => |service: &Flight, body, encoding, _| service.put(body, encoding),
                _ => return Ok(calls.rest(request).await.unwrap_or_else(Status::into_http)),
            };
            let (head, body) = request.into_parts();
            let timings = timing::timings(&head.extensions);
            let reply = MessageEncoding::of(&head.headers)
                .and_then(|encoding| begin(&calls.service, body, encoding, timings).map_err(|error| to_status(&error)));
            Ok(reply.map_or_else(Status::into_http, answer))
        }
        .boxed()
    }
}

/// A reply's pieces, and behind them how it ended.
fn answer(reply: Reply<Bytes>) -> Response<Body> {
    let ends = futures::stream::once(async { Ok(Frame::trailers(trailers(&Status::ok("")))) });
    let mut failed = false;
    let frames = reply.map(|piece| match piece {
        Ok(piece) => Frame::data(piece),
        Err(status) => Frame::trailers(trailers(&status)),
    });
    // What comes behind a failure is not looked at: trailers are the end.
    let frames = frames.map(Ok::<_, Infallible>).chain(ends).take_while(move |frame| {
        let before = failed;
        failed |= frame.as_ref().is_ok_and(Frame::is_trailers);
        std::future::ready(!before)
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ENCODINGS));
    response
}
