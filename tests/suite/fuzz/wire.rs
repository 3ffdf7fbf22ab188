//! Calls of the Flight service as bytes, without a connection: what no client would send comes to it as it is.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
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
        Self { routes: service(Fake::engine(10_000), LIMITS, memory.clone(), catalog), memory }
    }

    /// Sends `pieces` as the body of a call to `method`, whole.
    pub fn call(&self, method: &str, pieces: Vec<Bytes>) -> Result<Outcome, TestCaseError> {
        let call = async { tokio::time::timeout(HANGS, self.answer(method, pieces)).await };
        RUNTIME.block_on(call).map_err(|_| TestCaseError::fail(format!("{method} hangs")))
    }

    async fn answer(&self, method: &str, pieces: Vec<Bytes>) -> Outcome {
        let frames = stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let request = Request::post(format!("http://server/arrow.flight.protocol.FlightService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(StreamBody::new(frames)))
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

/// A message with gRPC's prefix.
pub fn framed(message: &[u8]) -> Bytes {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}
