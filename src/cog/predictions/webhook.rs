//! Tells a client's own server how its prediction goes.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{Course, Metrics, Prediction};
use crate::cog::output::Output;
use crate::http_client::Client;
use crate::memory::Reservation;

/// What a webhook can be told, by Cog's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The prediction begins.
    Start,
    /// It has an output.
    Output,
    /// It has logs, which ours never have.
    Logs,
    /// It ended.
    Completed,
}

impl Event {
    /// What a client hears of that does not choose.
    pub fn all() -> Vec<Self> {
        vec![Self::Start, Self::Output, Self::Logs, Self::Completed]
    }
}

/// The headers by which a client follows its request, to be sent on.
#[derive(Debug, Clone, Default)]
pub struct Trace(HeaderMap);

impl Trace {
    /// Those of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let names = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];
        Self(names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect())
    }
}

/// Where a client wants to hear of its prediction.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// `http` or `https`.
    pub url: String,
    /// Of what it wants to hear.
    pub filter: Vec<Event>,
    /// Sent along.
    pub trace: Trace,
}

/// As Cog's server calls itself.
const USER_AGENT: HeaderValue = HeaderValue::from_static("coglet/0.23.1");
/// How long one call may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often the last event is sent again before it is given up.
const RETRIES: u32 = 12;
/// The first pause before that; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Answers after which the same call may pass later.
const PASSING: [StatusCode; 5] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
/// Calls at a time, of all predictions together.
const CALLS: usize = 256;
/// Events of a prediction: its start, its output, its end.
const EVENTS: usize = 3;

/// What the webhooks of a server share.
pub struct Webhooks {
    client: Client,
    calls: Arc<Semaphore>,
    callers: TaskTracker,
    authorization: Option<HeaderValue>,
}

/// One prediction's webhook: what is said to it is sent in order, without holding the prediction up.
pub struct Webhook {
    filter: Vec<Event>,
    calls: mpsc::Sender<Call>,
}

/// An event on its way.
struct Call {
    body: Bytes,
    retries: u32,
}

impl Webhooks {
    /// With a token, calls carry it as `Authorization: Bearer`.
    pub fn new(token: Option<&str>) -> Self {
        let authorization = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        if token.is_some() && authorization.is_none() {
            warn!("WEBHOOK_AUTH_TOKEN holds characters that no header takes; webhooks are called without it");
        }
        Self {
            client: Client::new(),
            calls: Arc::new(Semaphore::new(CALLS)),
            callers: TaskTracker::new(),
            authorization,
        }
    }

    /// Waits until all that was said was heard, or given up.
    pub async fn drained(&self) {
        self.callers.close();
        self.callers.wait().await;
    }

    /// Makes ready to call. As in Cog, an address that is none is passed over.
    ///
    /// `memory` is held until all was said.
    pub fn open(&self, request: WebhookRequest, memory: Option<Reservation>) -> Option<Webhook> {
        let is_http = |url: &Uri| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
        let Some(url) = request.url.parse::<Uri>().ok().filter(is_http) else {
            warn!(url = request.url, "the webhook is no http address: nobody will be told");
            return None;
        };
        let mut headers = request.trace.0;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.extend(self.authorization.clone().map(|token| (header::AUTHORIZATION, token)));
        let caller = Caller { client: self.client.clone(), permits: Arc::clone(&self.calls), url, headers };
        let (calls, waiting) = mpsc::channel(EVENTS);
        self.callers.spawn(async move {
            let _memory = memory;
            caller.run(waiting).await;
        });
        Some(Webhook { filter: request.filter, calls })
    }
}

impl Webhook {
    /// The prediction begins.
    pub fn started(&self, prediction: &Prediction) {
        let course = prediction.course();
        self.say(Event::Start, || body(prediction, &course));
    }

    /// The prediction ended.
    pub fn ended(&self, prediction: &Prediction) {
        let course = prediction.course();
        if let Some(output) = course.output() {
            // Cog lists outputs as they come, here the only one, while the prediction still counts as running.
            let before = Course { ended: None, ..course.clone() };
            self.say(Event::Output, || Body { output: Some(Shown::List([output])), ..body(prediction, &before) });
        }
        self.say(Event::Completed, || body(prediction, &course));
    }

    fn say<'a>(&self, event: Event, body: impl FnOnce() -> Body<'a>) {
        if !self.filter.contains(&event) {
            return;
        }
        let retries = if event == Event::Completed { RETRIES } else { 0 };
        match serde_json::to_vec(&body()) {
            // The channel has room for all events of a prediction.
            Ok(body) => drop(self.calls.try_send(Call { body: body.into(), retries })),
            Err(error) => warn!(%error, "a webhook's body does not print as JSON"),
        }
    }
}

/// An output, by itself or listed.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    One(&'a Output),
    List([&'a Output; 1]),
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    logs: &'static str,
    status: super::Status,
    metrics: Metrics,
}

fn body<'a>(prediction: &'a Prediction, course: &'a Course) -> Body<'a> {
    Body {
        id: &prediction.id,
        output: course.output().map(|output| Shown::One(output)),
        error: course.failure().map(super::Failure::message),
        logs: "",
        status: course.status(),
        metrics: course.metrics(),
    }
}

/// What calls one webhook.
struct Caller {
    client: Client,
    permits: Arc<Semaphore>,
    url: Uri,
    headers: HeaderMap,
}

impl Caller {
    async fn run(self, mut waiting: mpsc::Receiver<Call>) {
        while let Some(call) = waiting.recv().await {
            if let Err(cause) = self.call(&call).await {
                warn!(url = %self.url, cause, "a webhook was not reached");
            }
        }
    }

    /// Calls until it is heard, as often as the call allows.
    async fn call(&self, call: &Call) -> Result<(), String> {
        let mut pause = FIRST_PAUSE;
        let mut left = call.retries;
        loop {
            let Err((cause, passing)) = self.attempt(call.body.clone()).await else {
                return Ok(());
            };
            if !passing || left == 0 {
                return Err(cause);
            }
            debug!(url = %self.url, cause, left, "a webhook is called again");
            left -= 1;
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// One call; an error comes with whether it may pass.
    async fn attempt(&self, body: Bytes) -> Result<(), (String, bool)> {
        // Never closed.
        let _permit = self.permits.acquire().await;
        match timeout(ATTEMPT, self.client.post(&self.url, self.headers.clone(), body)).await {
            Ok(Ok((status, _, _))) if status.is_success() => Ok(()),
            Ok(Ok((status, _, _))) => Err((format!("it answered {status}"), PASSING.contains(&status))),
            Ok(Err(error)) => Err((error.to_string(), true)),
            Err(_) => Err((format!("no answer within {} s", ATTEMPT.as_secs()), true)),
        }
    }
}
