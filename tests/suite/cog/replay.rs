//! What the original answered, asked again of us over the bundled model.

use axum::body::Body;
use axum::http::{Request, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Answer, ask, serve};
use crate::engines;

/// Exchanges that we do not answer as recorded, and why.
const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("openapi", "no OpenAPI document yet"),
    ("put", "no predictions under the client's id in the path yet"),
    ("put_same_id_body", "as put"),
    ("put_mismatch", "as put"),
    ("cancel_unknown", "no cancelling by id yet"),
    ("prefer_async", "no asynchronous predictions yet"),
    ("trainings", "no trainings yet, which in Cog are predictions by another name"),
    ("webhook_bad_url", "no webhooks yet"),
    ("webhook_bad_filter", "no webhooks yet"),
    ("webhook_all", "no webhooks yet, no asynchronous predictions yet"),
    ("webhook_start_completed", "as webhook_all"),
    ("busy", "several requests at a time over PUT and cancel; service.rs beside this holds its 409"),
];

/// Fields that we lack, and why.
const MISSING: &[(&str, &str)] = &[
    ("version.git_sha", "of Cog's build"),
    ("version.build_time", "of Cog's build"),
    ("version.python", "there is none"),
];

/// Fields that we have and the original has not.
const EXTRA: &[&str] = &["version.textflight"];

#[derive(Deserialize)]
struct Exchange {
    name: String,
    request: Option<RecordedRequest>,
    response: Option<RecordedResponse>,
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

#[derive(Deserialize)]
struct RecordedResponse {
    status: u16,
    content_type: Option<String>,
    json: Option<Value>,
    text: Option<String>,
}

fn recorded() -> Vec<Exchange> {
    let json = include_str!("../../fixtures/cog/recorded.json");
    serde_json::from_str(json).unwrap()
}

fn is_out_of_scope(name: &str) -> bool {
    OUT_OF_SCOPE.iter().any(|(known, _)| *known == name)
}

#[tokio::test]
async fn every_exchange_in_scope_passes() {
    let service = serve(engines::bundled());
    let mut replayed = 0;
    for exchange in recorded() {
        if is_out_of_scope(&exchange.name) {
            continue;
        }
        let request = exchange.request.unwrap().build();
        let answer = ask(&service, request).await;
        exchange.response.unwrap().check(&exchange.name, &answer);
        replayed += 1;
    }
    assert_eq!(replayed, 63 - OUT_OF_SCOPE.len());
}

#[tokio::test]
async fn what_is_out_of_scope_is_refused() {
    let service = serve(engines::Fake::engine(8));
    for (name, _) in OUT_OF_SCOPE {
        let exchange = recorded().into_iter().find(|exchange| exchange.name == *name);
        let exchange = exchange.unwrap_or_else(|| panic!("no exchange is called {name}"));
        let Some(request) = exchange.request else {
            continue;
        };
        let answer = ask(&service, request.build()).await;
        assert_eq!(answer.status, 501, "{name} is in scope: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{name}: {answer:?}");
    }
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
        let body = self.json.map(|json| json.to_string()).or(self.raw).unwrap_or_default();
        request.body(Body::from(body)).unwrap()
    }
}

impl RecordedResponse {
    fn check(self, name: &str, answer: &Answer) {
        assert_eq!(answer.status, self.status, "{name}: {answer:?}");
        assert_eq!(answer.content_type, self.content_type, "{name}: {answer:?}");
        match (self.json, self.text) {
            (Some(json), _) => check_value(name, "", &json, &answer.json()),
            (None, text) => assert_eq!(Some(&answer.text), text.as_ref(), "{name}"),
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
        assert!(EXTRA.contains(&at(field).as_str()), "{name}: field {} is not Cog's", at(field));
    }
}
