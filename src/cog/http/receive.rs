//! A request's body: its memory is reserved before it is read, and it arrives whole and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info_span};

use super::replicate::Problem;
use super::{Limits, Shared, reply};
use crate::Error;
use crate::cog::predictions;
use crate::memory::{Memory, Pace, Reservation};
use crate::traces::TARGET;

/// How often a body lies in memory while it is read: as it came, as the parser unescapes its strings, as `texts`, and as
/// the texts one by one.
const COPIES: usize = 4;

/// What a request takes besides: the connection's own buffers.
const BASE: usize = 16 * 1024;

/// What is reserved at first for a body that does not say how long it is.
const FIRST: usize = 16 * 1024;

/// How much more such a body is given at once where there is no room for its double, in bytes.
const GROWTH: usize = 1024 * 1024;

/// Waits for the body before the handler sees the request, so that one that stops on its way holds nothing for ever.
///
/// Its memory is held until the response has been sent.
pub(super) async fn whole(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_replicate = request.uri().path().starts_with("/v1/");
    let awaits_leave = request.headers().contains_key(EXPECT);
    let (mut parts, mut body) = request.into_parts();
    let limits = shared.options.limits;
    let received = receive(&mut body, limits, &shared.options.memory).instrument(info_span!(target: TARGET, "receive"));
    match received.await {
        Ok((bytes, memory)) => {
            parts.extensions.insert(memory.clone());
            hold(next.run(Request::from_parts(parts, Body::from(bytes))).await, memory).await
        }
        Err(refusal) => {
            // A client that is still sending hears the answer only if what it sends is read.
            if !awaits_leave && !matches!(refusal, Refusal::TooSlow(_)) {
                tokio::spawn(discard(body, limits));
            }
            refusal.answer(is_replicate)
        }
    }
}

/// Why a body was not taken.
enum Refusal {
    TooLong,
    TooSlow(Duration),
    Broken(axum::Error),
    Memory(Error),
}

impl Refusal {
    fn answer(self, is_replicate: bool) -> Response {
        match self {
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded").into_response(),
            Self::Broken(error) => (StatusCode::BAD_REQUEST, format!("the body broke off: {error}")).into_response(),
            Self::TooSlow(patience) => {
                let seconds = Duration::from_millis(patience.as_millis() as u64).as_secs_f64();
                let detail = format!("the body did not arrive within {seconds} seconds");
                (StatusCode::REQUEST_TIMEOUT, Json(json!({ "detail": detail }))).into_response()
            }
            Self::Memory(error) => {
                let refusal = match error {
                    Error::TooLarge(limit) => predictions::Refusal::TooLarge(limit),
                    error => predictions::Refusal::NoMemory(error.to_string()),
                };
                if is_replicate { Problem::from(refusal).into_response() } else { reply::refused(&refusal) }
            }
        }
    }
}

/// The whole body, with the memory for it and for what is made of it.
async fn receive(body: &mut Body, limits: Limits, memory: &Memory) -> Result<(Vec<u8>, Reservation), Refusal> {
    let hint = body.size_hint();
    let length = |length: u64| usize::try_from(length).ok().filter(|length| *length <= limits.body_bytes);
    let least = length(hint.lower()).ok_or(Refusal::TooLong)?;
    let first = if hint.exact().is_some() { least } else { least.max(FIRST).min(limits.body_bytes) };
    let held = memory.try_reserve(cost(first)).map_err(Refusal::Memory)?;
    let mut bytes = Vec::with_capacity(first);
    let pace = Pace::new(limits.body_time);
    loop {
        let by = pace.deadline(bytes.len(), bytes.capacity());
        let Some(frame) = timeout_at(by, body.frame()).await.map_err(|_| Refusal::TooSlow(by - pace.began()))? else {
            bytes.shrink_to_fit();
            held.shrink_to(cost(bytes.len()));
            return Ok((bytes, held));
        };
        // Trailers are no part of it.
        let Ok(data) = frame.map_err(Refusal::Broken)?.into_data() else { continue };
        let needed = bytes.len() + data.len();
        if needed > limits.body_bytes {
            return Err(Refusal::TooLong);
        }
        if needed > bytes.capacity() {
            // With room to grow into, where there is as much.
            let roomy = [2 * bytes.capacity(), needed + GROWTH].map(|room| room.max(needed).min(limits.body_bytes));
            let capacity = roomy.into_iter().find(|room| held.extend_to(cost(*room)).is_ok()).unwrap_or(needed);
            held.extend_to(cost(capacity)).map_err(Refusal::Memory)?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

/// The memory that a body of so many bytes takes, with what is made of it.
const fn cost(bytes: usize) -> usize {
    BASE + COPIES * bytes
}

/// Reads what is still sent of a body that was refused, as far as it could have been taken.
async fn discard(mut body: Body, limits: Limits) {
    let until = Instant::now() + limits.body_time;
    let mut left = limits.body_bytes;
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// The response, whose bytes hold the memory until they have been sent.
async fn hold(response: Response, memory: Reservation) -> Response {
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(Bytes::from_owner(Held { bytes, _memory: memory }))),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the answer broke off: {error}")).into_response(),
    }
}

struct Held {
    bytes: Bytes,
    _memory: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
