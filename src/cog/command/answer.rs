//! What a server says of a prediction: textflight's, Cog's, or whatever stands in front of one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::indent::indent;

/// How much is repeated of a body that is not JSON: enough to know what answered.
const MAX_EXCERPT_CHARS: usize = 200;

/// The members of an answer that matter here; others are not looked at.
#[derive(Deserialize)]
pub(super) struct Answer {
    status: Option<Value>,
    output: Option<Box<RawValue>>,
    error: Option<Value>,
    detail: Option<Value>,
}

impl Answer {
    /// The answer that `body` holds.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("the answer is no prediction: {error}: {}", excerpt(body)))
    }

    /// The output of a prediction that succeeded, as indented JSON.
    pub(super) fn output(self) -> Result<String, String> {
        let status = self.status.as_ref().and_then(Value::as_str);
        match (status, self.output) {
            (Some("succeeded"), Some(output)) => Ok(indent(output.get())),
            (Some("succeeded"), None) => Err("the prediction succeeded without an output".to_owned()),
            (Some("failed" | "canceled" | "aborted"), _) if self.error.is_some() => {
                Err(self.error.as_ref().map(words).unwrap_or_default())
            }
            (Some(status), _) => Err(format!("the prediction is {status}, and has no output")),
            (None, _) => Err("the answer is no prediction: it has no status".to_owned()),
        }
    }

    /// The words in `body` for why the server refused.
    pub(super) fn refusal(body: &[u8]) -> String {
        let answer: Option<Self> = serde_json::from_slice(body).ok();
        let why = answer.and_then(|answer| answer.detail.or(answer.error));
        why.as_ref().map_or_else(|| excerpt(body), words)
    }
}

/// A message as people read it: text as it is, and a list of violations a place and a message each.
fn words(message: &Value) -> String {
    match message {
        Value::String(text) => text.clone(),
        Value::Array(violations) => violations.iter().map(violation).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

fn violation(violation: &Value) -> String {
    let (Some(place), Some(message)) = (violation["loc"].as_array(), violation["msg"].as_str()) else {
        return violation.to_string();
    };
    let steps: Vec<String> = place.iter().skip_while(|step| *step == "body").map(words).collect();
    if steps.is_empty() { message.to_owned() } else { format!("{}: {message}", steps.join(".")) }
}

/// The beginning of a body that is not what it should be.
fn excerpt(body: &[u8]) -> String {
    // A character has four bytes at most.
    let start = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_EXCERPT_CHARS)]);
    let words: String =
        start.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_EXCERPT_CHARS).collect();
    if words.is_empty() { "the answer is empty".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(body: &str) -> Result<String, String> {
        Answer::read(body.as_bytes()).and_then(Answer::output)
    }

    #[test]
    fn an_output_is_printed_as_it_came() {
        let body = r#"{"id":"a","output":{"z":[0.9998000264167786],"a":[]},"logs":"","status":"succeeded"}"#;
        let expected = "{\n  \"z\": [\n    0.9998000264167786\n  ],\n  \"a\": []\n}";
        assert_eq!(output(body).expect("an output"), expected);
    }

    #[test]
    fn answers_without_an_output() {
        for (body, expected) in [
            (r#"{"status":"failed","error":"Prediction failed: why"}"#, "Prediction failed: why"),
            (r#"{"status":"canceled"}"#, "the prediction is canceled, and has no output"),
            (r#"{"status":"starting","id":"a"}"#, "the prediction is starting, and has no output"),
            (r#"{"status":"succeeded","output":null}"#, "the prediction succeeded without an output"),
            (r#"{"output":1}"#, "the answer is no prediction: it has no status"),
        ] {
            assert_eq!(output(body).expect_err(body), expected);
        }
        let error = output("<html>\n <b>Hello</b>").expect_err("no JSON");
        assert!(
            error.starts_with("the answer is no prediction: ") && error.ends_with(": <html> <b>Hello</b>"),
            "{error}"
        );
    }

    #[test]
    fn refusals_in_words() {
        for (body, expected) in [
            (r#"{"error":"busy","status":"failed"}"#, "busy"),
            (r#"{"type":"about:blank","title":"No","status":401,"detail":"no token"}"#, "no token"),
            (
                r#"{"detail":[{"loc":["body","input","texts"],"msg":"Field required"},{"loc":["body"],"msg":"Odd"},{"x":1}]}"#,
                r#"input.texts: Field required; Odd; {"x":1}"#,
            ),
            (r#"{"detail":[{"loc":["body","list",0],"msg":"no"}]}"#, "list.0: no"),
            ("", "the answer is empty"),
            ("Not\n Found", "Not Found"),
            ("[]", "[]"),
        ] {
            assert_eq!(Answer::refusal(body.as_bytes()), expected, "{body}");
        }
        let long = "\u{e9}".repeat(1000);
        assert_eq!(Answer::refusal(long.as_bytes()), "\u{e9}".repeat(MAX_EXCERPT_CHARS));
    }
}
