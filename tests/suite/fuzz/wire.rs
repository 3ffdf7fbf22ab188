//! Calls of the Flight service as bytes, without a connection: what no client would send comes to it as it is.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use proptest::prelude::*;
use textflight::flight::FlightLimits;
use textflight::flight::catalog::Catalog;
use textflight::memory::Memory;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::engines::Fake;
use crate::flight::client::{LIMITS, catalog, service};

/// Long enough for a busy machine.
const HANGS: Duration = Duration::from_secs(30);

/// Those of the tests, without a time that a busy machine could overstep before it counts as hanging.
const PATIENT: FlightLimits = FlightLimits { stall_timeout: Duration::from_mins(1), ..LIMITS };

/// What the server may hold, and what of it tables may.
const MEMORY: usize = 64 << 20;
const TABLES: usize = 56 << 20;

/// Where the server runs. It is never dropped: what hangs would hold whoever waits for it.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A server.
pub struct Wire {
    routes: Routes,
    memory: Memory,
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: Status,
    /// All bytes of its answer.
    pub answer: Bytes,
}

impl Wire {
    /// Of no data sets.
    pub fn new() -> Self {
        Self::of(catalog())
    }

    /// Of these data sets.
    pub fn of(catalog: Catalog) -> Self {
        let _inside = RUNTIME.enter();
        let memory = Memory::new(MEMORY);
        Self { routes: service(Fake::engine(10_000), PATIENT, memory.clone(), catalog), memory }
    }

    /// Sends `pieces` as the body of a call to `method`, whole.
    pub fn call(&self, method: &str, pieces: Vec<Bytes>) -> Result<Outcome, TestCaseError> {
        let call = async { tokio::time::timeout(HANGS, self.answer(method, pieces)).await };
        RUNTIME.block_on(call).map_err(|_| TestCaseError::fail(format!("{method} hangs")))
    }

    async fn answer(&self, method: &str, pieces: Vec<Bytes>) -> Outcome {
        let request = Request::post(format!("http://server/arrow.flight.protocol.FlightService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Pieces(pieces.into())))
            .unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut status = Status::from_header_map(response.headers());
        let (mut body, mut answer) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => answer.extend_from_slice(&data),
                Ok(Err(frame)) => status = frame.trailers_ref().and_then(|t: &HeaderMap| Status::from_header_map(t)),
                Err(broken) => status = Some(broken),
            }
        }
        Outcome {
            status: status.unwrap_or_else(|| Status::unknown("the answer has no status")),
            answer: answer.freeze(),
        }
    }

    /// The call succeeded, or failed for what its sender did; and nothing is held for it any more.
    pub fn check(&self, method: &str, pieces: Vec<Bytes>, fair: &[Code]) -> Result<Outcome, TestCaseError> {
        let outcome = self.call(method, pieces)?;
        let (code, text) = (outcome.status.code(), outcome.status.message());
        prop_assert!(code == Code::Ok || fair.contains(&code), "{method}: {:?}", outcome.status);
        prop_assert!((code == Code::Ok) == text.is_empty(), "{method}: {:?}", outcome.status);
        prop_assert!(text.len() < 5000, "{method}: {} bytes of text, which clients do not take", text.len());
        self.returns_memory()?;
        Ok(outcome)
    }

    /// All memory is there again, soon.
    fn returns_memory(&self) -> Result<(), TestCaseError> {
        let returned = async {
            while self.memory.try_reserve(TABLES).is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let soon = RUNTIME.block_on(async { tokio::time::timeout(HANGS, returned).await });
        soon.map_err(|_| TestCaseError::fail("memory is held for a call that is over"))
    }
}

/// A body that says when it has ended, as those of HTTP/2 do: without that it counts as broken off.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// A message with gRPC's prefix.
pub fn framed(message: &[u8]) -> Bytes {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}
