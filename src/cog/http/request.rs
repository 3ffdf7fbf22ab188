//! The body of `POST /predictions`, and whether it fits the predictor's schema.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::predictions::Task;
use super::sketch::{Shape, Sketch};
use crate::cog::predictions::{Event, NewPrediction, Trace, WebhookRequest};
use crate::cog::uploads::Uploads;

/// What a client asks for. Fields that nobody knows are ignored, as Cog ignores them.
///
/// Names, order and types are Cog's: what its server says of a wrong body follows from them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PredictionRequest {
    /// The client's own name for the prediction.
    pub(super) id: Option<String>,
    /// No input and `null` are the same as an empty object.
    #[serde(default)]
    pub(super) input: Option<Sketch>,
    #[serde(default, rename = "context")]
    pub(super) _context: Context,
    /// Where the client wants to hear of the prediction.
    pub(super) webhook: Option<String>,
    /// Of what.
    #[serde(default = "Event::all")]
    pub(super) webhook_events_filter: Vec<Event>,
    /// Whether the path names it, so that it is to run once.
    #[serde(skip)]
    pub(super) once: bool,
}

/// What Cog hands on to predictors that ask for it. Ours does not; it is read and let go.
#[derive(Debug, Default)]
pub(super) struct Context;

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HashMap::<String, String>::deserialize(deserializer).map(|_| Self)
    }
}

/// How a request breaks the schema.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// The way to the field; `__root__` is `input` itself.
    loc: Vec<&'static str>,
    msg: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl PredictionRequest {
    /// What is to be predicted, or what is wrong with the input. `trace` goes with the webhook; of the uploads one may be
    /// meant by the input.
    pub(super) fn into_prediction(mut self, trace: Trace, uploads: &Uploads) -> Result<NewPrediction, Violation> {
        let filter = std::mem::take(&mut self.webhook_events_filter);
        let webhook = self.webhook.take().map(|url| WebhookRequest { url, filter, trace });
        let (id, once, texts) = (self.id.take(), self.once, self.into_texts()?);
        let file = uploads.meant_by(&texts).map_err(Violation::gone)?;
        Ok(NewPrediction { id, once, texts, file, webhook, ..NewPrediction::default() })
    }

    /// The same under the id of the path, from which the body's may not differ.
    pub(super) fn named(self, id: String, task: Task) -> Result<Self, Violation> {
        if self.id.as_ref().is_some_and(|own| *own != id) {
            return Err(Violation::id(task));
        }
        Ok(Self { id: Some(id), once: true, ..self })
    }

    /// The string under `input.texts`, or what is wrong with the input.
    fn into_texts(self) -> Result<String, Violation> {
        let texts = match self.input {
            None => None,
            Some(Sketch { shape: Shape::Object(texts), .. }) => texts,
            Some(other) => return Err(Violation::kind("__root__", &other, "object")),
        };
        let texts = *texts.ok_or_else(Violation::missing)?;
        match texts.shape {
            Shape::Text(texts) => Ok(texts),
            _ => Err(Violation::kind("texts", &texts, "string")),
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "- {}: {}", self.loc[1..].join("."), self.msg)
    }
}

impl Violation {
    fn id(task: Task) -> Self {
        let name = match task {
            Task::Prediction => "prediction",
            Task::Training => "training",
        };
        let msg = format!("{name} ID must match the ID supplied in the URL");
        Self { loc: vec!["body", "id"], msg, kind: "value_error" }
    }

    fn missing() -> Self {
        Self { loc: vec!["body", "input", "texts"], msg: "Field required".to_owned(), kind: "value_error.missing" }
    }

    fn gone(file: &str) -> Self {
        let msg = format!("{file} is not here any more: upload it again");
        Self { loc: vec!["body", "input", "texts"], msg, kind: "value_error" }
    }

    fn kind(field: &'static str, found: &Sketch, wanted: &str) -> Self {
        Self {
            loc: vec!["body", "input", field],
            msg: format!("{} is not of type \"{wanted}\"", found.echo),
            kind: "value_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Result<String, Violation> {
        serde_json::from_str::<PredictionRequest>(body).expect(body).into_texts()
    }

    #[track_caller]
    fn check_violation(body: &str, field: &'static str, msg: &str) {
        let violation = texts(body).expect_err(body);
        assert_eq!(violation.loc, ["body", "input", field], "{body}");
        assert_eq!(violation.msg, msg, "{body}");
    }

    #[test]
    fn texts_are_found() {
        assert_eq!(texts(r#"{"input": {"texts": "[]"}}"#).as_deref(), Ok("[]"));
        assert_eq!(texts(r#"{"extra": 1, "input": {"foo": [{}], "texts": "a\n", "bar": null}}"#).as_deref(), Ok("a\n"));
    }

    #[test]
    fn the_last_of_two_counts() {
        assert_eq!(texts(r#"{"input": {"texts": 1, "texts": "b"}}"#).as_deref(), Ok("b"));
    }

    #[test]
    fn texts_are_required() {
        for body in ["{}", r#"{"input": null}"#, r#"{"input": {}}"#, r#"{"input": {"text": "a"}}"#] {
            check_violation(body, "texts", "Field required");
        }
    }

    #[test]
    fn values_of_another_type() {
        check_violation(r#"{"input": {"texts": null}}"#, "texts", r#"null is not of type "string""#);
        check_violation(r#"{"input": {"texts": [ "a", 1.5 ]}}"#, "texts", r#"["a",1.5] is not of type "string""#);
        check_violation(r#"{"input": {"texts": {"texts": "a"}}}"#, "texts", r#"{"texts":"a"} is not of type "string""#);
        check_violation(r#"{"input": []}"#, "__root__", r#"[] is not of type "object""#);
        check_violation(r#"{"input": "a"}"#, "__root__", r#""a" is not of type "object""#);
    }
}
