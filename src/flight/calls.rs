//! Calls as they come: exchanges and uploads are read and answered by our own frames of gRPC, the rest by tonic's.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tower::Service as _;

use super::inbound::{ENCODINGS, MessageEncoding};
use super::reply::Reply;
use super::service::Flight;
use super::status::{to_status, unread_is_invalid};
use super::timing;
use crate::{Error, Result};

/// The Flight service over HTTP.
#[derive(Clone)]
pub struct Calls {
    service: Arc<Flight>,
    rest: FlightServiceServer<Flight>,
}

/// The paths of an exchange and of an upload.
const EXCHANGE: &str = "/arrow.flight.protocol.FlightService/DoExchange";
const PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// Bytes of a request that is no stream, all of it: names, tickets, filters.
const REQUEST: usize = 64 * 1024;

impl Calls {
    /// The calls of a service.
    pub fn new(service: Flight) -> Self {
        let service = Arc::new(service);
        let rest = FlightServiceServer::from_arc(Arc::clone(&service)).max_decoding_message_size(REQUEST);
        let rest = rest.accept_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Zstd);
        Self { service, rest }
    }

    /// Whatever is neither: its memory is held and its time runs until the answer begins.
    async fn rest(mut self, request: Request<Body>) -> Response<Body> {
        let patience = self.service.limits.stall_timeout;
        let _memory = match self.service.memory.try_reserve(REQUEST) {
            Ok(memory) => memory,
            Err(error) => return to_status(&error).into_http(),
        };
        match timeout(patience, self.rest.call(request)).await {
            Ok(Ok(response)) => unread_is_invalid(response),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let late = format!("the request did not come within {} s (--stall-timeout)", patience.as_secs_f32());
                to_status(&Error::Stalled(late)).into_http()
            }
        }
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
            let begin = match request.uri().path() {
                EXCHANGE => Flight::exchange,
                PUT => |service: &Flight, body, encoding, _| service.put(body, encoding),
                _ => return Ok(calls.rest(request).await),
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

/// How a call ended, behind its answer.
pub fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A text that no header takes is left out; the code is always there.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    trailers
}
