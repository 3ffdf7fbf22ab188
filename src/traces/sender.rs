//! The requests to the collector, by our own HTTP client: one idea of proxies and of whom TLS trusts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use prost::Message;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::losses::Losses;
use crate::http_client::{cause, client};

/// What is read of an answer, in bytes: it is empty, or says which spans were not taken.
const ANSWER: usize = 64 << 10;

/// Sends spans, and tells once that it cannot, and once that it can again.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    runtime: Handle,
    losses: Losses,
    has_failed: AtomicBool,
}

impl Sender {
    /// One whose requests run on `runtime`, each for at most so long. What a collector takes and drops is lost.
    ///
    /// # Errors
    /// Why there is no client.
    pub fn new(runtime: Handle, patience: Duration, losses: Losses) -> Result<Self, String> {
        // A redirect could take the headers' secrets elsewhere.
        let client = client(&HeaderMap::new(), |builder| builder.timeout(patience).redirect(Policy::none()))?;
        Ok(Self { client, runtime, losses, has_failed: AtomicBool::new(false) })
    }

    fn tell(&self, failure: Option<&str>) {
        let had_failed = self.has_failed.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !had_failed => warn!(cause, "traces cannot be sent; requests go on without them"),
            None if had_failed => info!("traces are sent again"),
            _ => {}
        }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // On the runtime: the thread that waits has none.
        let answer = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            // From an address as text, whose name and password become a header.
            let request = client.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
            answer(request.send().await.map_err(cause)?).await
        });
        let answer = answer.await.unwrap_or_else(|gone| Err(gone.to_string()));
        match &answer {
            Ok(answer) if answer.status().is_success() => {
                self.tell(None);
                self.losses.lose(rejected(answer.body()));
            }
            Ok(answer) => self.tell(Some(&format!("the collector answers {}", answer.status()))),
            Err(cause) => self.tell(Some(cause)),
        }
        Ok(answer?)
    }
}

/// The answer to an export, as far as it is looked at.
#[derive(Clone, PartialEq, Eq, Message)]
struct Taken {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// How many spans the collector did not take of those that it answers for.
fn rejected(answer: &[u8]) -> usize {
    // What else a collector says is no loss.
    let said = Taken::decode(answer).ok().and_then(|taken| taken.partial_success);
    said.and_then(|said| said.rejected_spans.try_into().ok()).unwrap_or(0)
}

async fn answer(mut answer: reqwest::Response) -> Result<Response<Bytes>, String> {
    let mut head = Response::new(());
    *head.status_mut() = answer.status();
    head.headers_mut().clone_from(answer.headers());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(cause)? {
        if body.len() + piece.len() > ANSWER {
            return Err(format!("the collector answers with more than {ANSWER} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(head.map(|()| body.into()))
}

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
    {
        Box::pin(self.send(request))
    }
}
