//! Tells a client's own server how its prediction goes.

mod caller;

use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::warn;

use self::caller::Call;
pub use self::caller::Webhooks;
use super::{Course, Metrics, Prediction};
use crate::cog::output::Output;

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

/// One prediction's webhook: what is said to it is sent in order, without holding the prediction up.
pub struct Webhook {
    filter: Vec<Event>,
    calls: mpsc::Sender<Call>,
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
        match serde_json::to_vec(&body()) {
            // The channel has room for all events of a prediction.
            Ok(body) => drop(self.calls.try_send(Call { body: body.into(), is_last: event == Event::Completed })),
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
