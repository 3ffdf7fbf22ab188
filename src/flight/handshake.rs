//! Handshake: a client shows a token once, and hears how to send it with its calls.
//!
//! Two of Flight's dialects begin here. A client with a header `authorization: Basic …` gets it back as a header
//! `authorization: Bearer TOKEN`; one that sends a `BasicAuth` message gets the token as a message, and sends it as
//! `auth-token-bin`.
//! The third has no handshake: the client sends `authorization: Bearer TOKEN` by itself.

use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::admission::unauthenticated;
use super::status::to_status;
use crate::Error;
use crate::auth::{Authenticator, Credentials, Denied};

/// What a client may say before it comes to its end.
const MESSAGES: usize = 16;

/// What a handshake is answered with.
pub type Answers = BoxStream<'static, Result<HandshakeResponse, Status>>;

/// Shakes hands with a client that takes no longer than `patience`.
///
/// # Errors
/// UNAUTHENTICATED, unless what the client shows is a token of ours, or nobody is asked for one.
pub async fn shake(
    request: Request<Streaming<HandshakeRequest>>,
    authenticator: &Authenticator,
    patience: Duration,
) -> Result<Response<Answers>, Status> {
    let deadline = Instant::now() + patience;
    let (metadata, _, mut requests) = request.into_parts();
    let (shown, is_owed) = match Credentials::of(metadata.as_ref()) {
        Err(Denied::Missing) => {
            let shown = timeout_at(deadline, in_message(&mut requests)).await.map_err(|_| {
                let late = format!("the handshake did not come within {} s (--stall-timeout)", patience.as_secs_f32());
                to_status(&Error::Stalled(late))
            })??;
            let is_owed = shown.is_some();
            (shown.into_iter().collect(), is_owed)
        }
        shown => (shown, false),
    };
    let shown = match shown {
        // Where nobody is asked, nothing is wrong.
        Err(_) if !authenticator.asks() => Vec::new(),
        shown => shown.map_err(unauthenticated)?,
    };
    authenticator.recognize(&shown).map_err(unauthenticated)?;
    let token = shown.into_iter().next().map(|credentials| credentials.token).unwrap_or_default();
    let header = bearer(&token);
    let mut response = Response::new(Rest { requests, token, is_owed, deadline }.answers());
    if let Some(header) = header {
        response.metadata_mut().insert("authorization", header);
    }
    Ok(response)
}

/// What a client's first message says of it, if there is one.
async fn in_message(requests: &mut Streaming<HandshakeRequest>) -> Result<Option<Result<Credentials, Denied>>, Status> {
    let shown = requests.message().await?.map(|first| BasicAuth::decode(first.payload));
    Ok(shown.map(|shown| match shown {
        Ok(shown) => Ok(Credentials::new(shown.username, shown.password)),
        Err(_) => Err(Denied::Unreadable),
    }))
}

/// None for a token that no header takes, which is not one of ours.
fn bearer(token: &[u8]) -> Option<MetadataValue<Ascii>> {
    let mut header = MetadataValue::try_from([b"Bearer ", token].concat()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The rest of a handshake.
struct Rest {
    requests: Streaming<HandshakeRequest>,
    token: Vec<u8>,
    /// The client has asked for the token in a message, and waits for it.
    is_owed: bool,
    deadline: Instant,
}

impl Rest {
    /// One answer to who sends messages, and none to who does not; then the end, which does not come before the client's own:
    /// clients of C++ take that for an error.
    fn answers(mut self) -> Answers {
        let answers = async move {
            let is_asked = self.is_owed || self.next().await;
            let answer = HandshakeResponse { protocol_version: 0, payload: std::mem::take(&mut self.token).into() };
            let end = stream::once(async move { self.end().await }).filter_map(|()| std::future::ready(None));
            stream::iter(is_asked.then_some(Ok(answer))).chain(end)
        };
        answers.flatten_stream().boxed()
    }

    /// Whether the client says one more thing.
    async fn next(&mut self) -> bool {
        matches!(timeout_at(self.deadline, self.requests.message()).await, Ok(Ok(Some(_))))
    }

    async fn end(mut self) {
        for _ in 0..MESSAGES {
            if !self.next().await {
                return;
            }
        }
    }
}
