//! What the original answered, asked again of us over the bundled model.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::client::{Answer, ask, concurrent, get, send, serve, serve_with, wait_until};
use super::receiver::Receiver;
use crate::engines::{self, Fake};

/// Exchanges that we answer in another way than recorded, and how.
const DIFFERENT: &[(&str, u16, &str)] = &[("get_by_id", 200, "predictions can be read by their id")];

/// Fields that we lack, and why.
const MISSING: &[(&str, &str)] = &[
    ("version.git_sha", "of Cog's build"),
    ("version.build_time", "of Cog's build"),
    ("version.python", "there is none"),
];

/// Fields that we have and the original has not, whatever is in them.
const EXTRA: &[&str] = &[
    "version.textflight",
    // What Cog's servers had before, and clients still read.
    "created_at",
    "started_at",
    "completed_at",
    "version",
    // The document describes what we answer more, and how we refuse.
    "components.schemas.Error",
    "components.schemas.Input.additionalProperties",
    "components.schemas.NamedPredictionRequest",
    "components.schemas.PredictionRequest.properties.context",
    "components.schemas.PredictionRequest.properties.id.nullable",
    "components.schemas.PredictionRequest.properties.webhook",
    "components.schemas.PredictionRequest.properties.webhook_events_filter",
    "components.schemas.PredictionRequest.required",
    "paths./predictions.post.requestBody.required",
    "paths./predictions.post.responses",
    "paths./predictions/{prediction_id}",
    "paths./predictions/{prediction_id}/cancel.post.responses",
];

#[derive(Deserialize)]
struct Exchange {
    name: String,
    request: Option<RecordedRequest>,
    response: Option<RecordedResponse>,
    #[serde(default)]
    webhooks: Vec<RecordedWebhook>,
    #[serde(flatten)]
    busy: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct RecordedWebhook {
    path: String,
    headers: HashMap<String, String>,
    json: Value,
}

#[derive(Deserialize)]
struct RecordedRequest {
    method: String,
    path: String,
    json: Option<Value>,
    raw: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

/// An answer of the original's.
#[derive(Deserialize)]
pub struct RecordedResponse {
    status: u16,
    content_type: Option<String>,
    json: Option<Value>,
    text: Option<String>,
}

fn recorded() -> Vec<Exchange> {
    let json = include_str!("../../fixtures/cog/recorded.json");
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn every_exchange_passes() {
    let service = serve(engines::bundled());
    let mut replayed = 0;
    for exchange in recorded() {
        let (Some(request), Some(response), []) = (exchange.request, exchange.response, &*exchange.webhooks) else {
            continue;
        };
        let answer = ask(&service, request.build()).await;
        replayed += 1;
        match DIFFERENT.iter().find(|(name, _, _)| *name == exchange.name) {
            Some((name, status, _)) => assert_eq!(answer.status, *status, "{name}: {answer:?}"),
            None => response.check(&exchange.name, &answer),
        }
    }
    // The others are those with webhooks, and `busy`.
    assert_eq!(replayed, 63 - 3);
}

#[tokio::test]
async fn every_webhook_is_called() {
    let service = serve(engines::bundled());
    let mut replayed = 0;
    for exchange in recorded().into_iter().filter(|exchange| !exchange.webhooks.is_empty()) {
        let mut receiver = Receiver::start().await;
        let mut request = exchange.request.unwrap();
        let json = request.json.take().unwrap().to_string();
        request.json = Some(json.replace("127.0.0.1:PORT", &receiver.address.to_string()).parse().unwrap());
        let answer = ask(&service, request.build()).await;
        exchange.response.unwrap().check(&exchange.name, &answer);
        for recorded in exchange.webhooks {
            let call = receiver.next().await;
            assert_eq!(call.path, recorded.path);
            for (name, value) in recorded.headers {
                assert_eq!(call.headers[&name], *value, "{name}");
            }
            check_value(&exchange.name, "", &recorded.json, &call.json);
        }
        replayed += 1;
    }
    assert_eq!(replayed, 2);
}

/// The recorded one: a running PUT, and what others are told meanwhile.
#[tokio::test]
async fn busy_as_recorded() {
    let exchange = recorded().into_iter().find(|exchange| exchange.name == "busy").unwrap();
    let check = |part: &str, answer: &Answer| {
        let recorded: RecordedResponse = serde_json::from_value(exchange.busy[part].clone()).unwrap();
        recorded.check(part, answer);
    };
    let (engine, fake, open) = Fake::gated_engine(8);
    let service = serve_with(engine, concurrent(1));
    let texts = json!({ "input": { "texts": "<the 400 long texts>" } });
    let put = |id: &'static str, headers: &'static [(&'static str, &'static str)]| {
        let (service, texts) = (service.clone(), texts.clone());
        async move { send(&service, "PUT", &format!("/predictions/{id}"), headers, texts).await }
    };
    let first = tokio::spawn(put("busy-1", &[]));
    wait_until("the first batch", async || fake.begun.load(Ordering::SeqCst) == 1).await;

    check("second_put", &put("busy-2", &[]).await);
    check("health_while_busy", &get(&service, "/health-check").await);
    check("same_put_again", &put("busy-1", &[("prefer", "respond-async")]).await);
    check("cancel", &send(&service, "POST", "/predictions/busy-1/cancel", &[], json!({})).await);
    check("first_put", &first.await.unwrap());
    drop(open);
    wait_until("room", async || put("busy-2", &[]).await.status == 200).await;
}

/// JSON as Python prints it, with a space after each colon and comma: one recorded answer counts columns.
fn as_python(json: &Value) -> String {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
    }
    let mut text = Vec::new();
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Spaced)).unwrap();
    String::from_utf8(text).unwrap()
}

impl RecordedRequest {
    fn build(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(self.path);
        if self.json.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.headers {
            request = request.header(name, value.as_str().unwrap());
        }
        let body = self.json.map(|json| as_python(&json)).or(self.raw).unwrap_or_default();
        request.body(Body::from(body)).unwrap()
    }
}

impl RecordedResponse {
    /// Whether ours is the same, but for what differs from one run to the next.
    pub fn check(self, name: &str, answer: &Answer) {
        assert_eq!(answer.status, self.status, "{name}: {answer:?}");
        assert_eq!(answer.content_type, self.content_type, "{name}: {answer:?}");
        match (self.json, self.text) {
            (Some(json), _) => check_value(name, "", &json, &answer.json()),
            (None, Some(text)) => assert_eq!(answer.text, text, "{name}"),
            // Recorded elsewhere.
            (None, None) => {}
        }
    }
}

/// Equal, but for what differs from one run to the next: that has its shape.
fn check_value(name: &str, path: &str, recorded: &Value, ours: &Value) {
    let context = || format!("{name}, {path}: recorded {recorded}, ours {ours}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match path {
        "id" if text(recorded).starts_with("pred_") => {
            assert!(text(ours).starts_with("pred_"), "{}", context());
            assert_eq!(text(ours).len(), text(recorded).len(), "{}", context());
        }
        "metrics.predict_time" => assert!(ours.is_f64(), "{}", context()),
        // The recorder wrote its mark over every field of this name, the document's too.
        "components.schemas.PredictionResponse.properties.logs" => assert_eq!(ours["type"], "string", "{}", context()),
        "output" if recorded.is_array() => check_value(name, path, &recorded[0], &ours[0]),
        "output.confidences" => check_list(recorded, ours, |confidence| {
            confidence.as_f64().is_some_and(|confidence| (0.5..=1.0).contains(&confidence))
        }),
        "output.predicted_labels" => check_list(recorded, ours, |label| matches!(label.as_u64(), Some(0 | 1))),
        "setup.started_at" | "setup.completed_at" => {
            let shape = |time: &Value| text(time).replace(|c: char| c.is_ascii_digit(), "0");
            assert_eq!(shape(ours), shape(recorded), "{}", context());
        }
        "setup.logs" => assert!(ours.is_string(), "{}", context()),
        _ => match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => check_object(name, path, recorded, ours),
            _ => assert_eq!(ours, recorded, "{}", context()),
        },
    }
}

fn check_list(recorded: &Value, ours: &Value, fits: impl Fn(&Value) -> bool) {
    let (recorded, ours) = (recorded.as_array().unwrap(), ours.as_array().unwrap());
    assert_eq!(ours.len(), recorded.len());
    assert!(ours.iter().all(fits), "{ours:?}");
}

fn check_object(name: &str, path: &str, recorded: &Map<String, Value>, ours: &Map<String, Value>) {
    let at = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    for (field, value) in recorded {
        let path = at(field);
        match ours.get(field) {
            Some(ours) => check_value(name, &path, value, ours),
            None => assert!(MISSING.iter().any(|(known, _)| *known == path), "{name}: no field {path}"),
        }
    }
    for field in ours.keys().filter(|field| !recorded.contains_key(*field)) {
        let path = at(field);
        let is_known =
            |known: &&str| path.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        assert!(EXTRA.iter().any(is_known), "{name}: field {path} is not Cog's");
    }
}
