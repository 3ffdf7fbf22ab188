//! How webhooks are called: by the rules of Cog's server, and of the client that it has.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use reqwest::{Client, Url};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use super::{Webhook, WebhookRequest};
use crate::auth::Token;
use crate::http_client::{cause, client, shown};
use crate::memory::Reservation;

/// As Cog's server calls itself.
const USER_AGENT: HeaderValue = HeaderValue::from_static("coglet/0.23.1");
/// How long one call may take, redirects and all.
const ATTEMPT: Duration = Duration::from_secs(30);
/// How often the last event is sent again before it is given up.
const RETRIES: u32 = 12;
/// The first pause before that; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(102_400);
/// Answers after which the same call may pass later.
const PASSING: [StatusCode; 5] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
/// How long an event waits for the one before it to be heard. Cog does not wait, and its events overtake one another; a
/// receiver that takes longer must not hold up the end.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long the end of the server waits for what is being said.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Calls at a time, of all predictions together.
const CALLS: usize = 256;
/// Events of a prediction: its start, its output, its end.
const EVENTS: usize = 3;

/// What the webhooks of a server share.
pub struct Webhooks {
    /// None where it could not be made, which was said.
    client: Option<Client>,
    permits: Arc<Semaphore>,
    callers: TaskTracker,
    ending: CancellationToken,
}

/// An event on its way.
pub struct Call {
    pub body: Bytes,
    /// Whether it tells the end: then it is sent until it is heard.
    pub is_last: bool,
}

impl Webhooks {
    /// With a token, calls carry it as `Authorization: Bearer`, unless an address has a name and a password of its own.
    pub fn new(token: Option<&Token>) -> Self {
        let mut headers = HeaderMap::from_iter([(header::USER_AGENT, USER_AGENT)]);
        headers.extend(token.and_then(bearer).map(|token| (header::AUTHORIZATION, token)));
        let client = client(&headers, |builder| builder.timeout(ATTEMPT));
        let client = client.inspect_err(|cause| error!(cause, "no webhook can be called")).ok();
        let (callers, ending) = (TaskTracker::new(), CancellationToken::new());
        Self { client, permits: Arc::new(Semaphore::new(CALLS)), callers, ending }
    }

    /// Waits a moment for what is being said, and no longer for who does not hear.
    pub async fn drained(&self) {
        self.callers.close();
        self.ending.cancel();
        if timeout(LAST_WORDS, self.callers.wait()).await.is_err() {
            warn!(webhooks = self.callers.len(), "webhooks that did not answer are given up");
        }
    }

    /// Makes ready to call. As in Cog, an address that is none is passed over.
    ///
    /// `memory` is held until all was said.
    pub fn open(&self, request: WebhookRequest, memory: Option<Reservation>) -> Option<Webhook> {
        let url = match Url::parse(&request.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            Ok(url) => {
                warn!(scheme = url.scheme(), "a webhook is neither http nor https: nobody will be told");
                return None;
            }
            Err(error) => {
                warn!(%error, "a webhook is no address: nobody will be told");
                return None;
            }
        };
        let mut headers = request.trace.0;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (permits, ending) = (Arc::clone(&self.permits), self.ending.clone());
        let caller = Arc::new(Caller { client: self.client.clone()?, permits, ending, url, headers, _memory: memory });
        let (calls, waiting) = mpsc::channel(EVENTS);
        self.callers.spawn(caller.run(waiting, self.callers.clone()));
        Some(Webhook { filter: request.filter, calls })
    }
}

fn bearer(token: &Token) -> Option<HeaderValue> {
    token.header().inspect_err(|error| warn!("WEBHOOK_AUTH_TOKEN: {error}; webhooks are called without it")).ok()
}

/// What calls one webhook.
struct Caller {
    client: Client,
    permits: Arc<Semaphore>,
    ending: CancellationToken,
    url: Url,
    headers: HeaderMap,
    _memory: Option<Reservation>,
}

/// Why a call was not heard.
struct Unheard {
    cause: String,
    /// Whether the same call may be heard later.
    may_pass: bool,
}

impl Caller {
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<Call>, callers: TaskTracker) {
        while let Some(call) = waiting.recv().await {
            let caller = Arc::clone(&self);
            let calling = callers.spawn(async move {
                if let Err(unheard) = caller.call(&call).await {
                    warn!(url = shown(&caller.url), unheard.cause, "a webhook was not reached");
                }
            });
            // Whether it was heard by then or not, the next is said.
            let _ = timeout(HEAD_START, calling).await;
        }
    }

    /// Calls until it is heard, as often as the call allows, or the server ends.
    async fn call(&self, call: &Call) -> Result<(), Unheard> {
        let mut pause = FIRST_PAUSE;
        let mut left = if call.is_last { RETRIES } else { 0 };
        loop {
            let Err(unheard) = self.attempt(call.body.clone()).await else {
                return Ok(());
            };
            if !unheard.may_pass || left == 0 {
                return Err(unheard);
            }
            debug!(url = shown(&self.url), unheard.cause, left, "a webhook is called again");
            left -= 1;
            tokio::select! {
                () = self.ending.cancelled() => return Err(unheard),
                () = sleep(pause) => pause = LONGEST_PAUSE.min(pause * 2),
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<(), Unheard> {
        // Never closed.
        let _permit = self.permits.acquire().await;
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let may_pass = PASSING.contains(&answer.status());
                Err(Unheard { cause: format!("it answered {}", answer.status()), may_pass })
            }
            Err(error) => Err(Unheard { cause: cause(error), may_pass: true }),
        }
    }
}
