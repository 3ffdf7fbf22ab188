//! Why the hub gave nothing, what may be done about it here, and what by the caller.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

use super::settings::Settings;
use crate::http_client::cause;

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// Why the hub gave nothing.
#[derive(Debug)]
pub struct HubFailure {
    /// What happened, and where it is the caller's to mend, how.
    pub cause: String,
    /// What may be done about it here.
    pub kind: FailureKind,
}

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The same may pass after this while.
    Passing(Option<Duration>),
    /// There is no hub, or it does not let us in: what the cache holds may serve.
    Lasting,
    /// The hub knows better than the cache.
    Final,
    /// The cache takes nothing more, but may hold enough.
    Unwritable,
}

/// A request without an answer, or without all of it.
pub fn broken(error: reqwest::Error) -> HubFailure {
    let is_passing = error.is_timeout() || !error.is_connect() && !error.is_builder();
    let kind = if is_passing { FailureKind::Passing(None) } else { FailureKind::Lasting };
    HubFailure { cause: cause(error), kind }
}

/// What an answer that is no success means.
pub fn refused(settings: &Settings, id: &str, revision: &str, response: &Response) -> HubFailure {
    let status = response.status();
    let code = text(response.headers(), ERROR_CODE).unwrap_or_default();
    let kind = match (status.as_u16(), code) {
        (_, "RevisionNotFound" | "EntryNotFound") => FailureKind::Final,
        (408 | 429 | 500 | 502..=504, _) => FailureKind::Passing(retry_after(response.headers())),
        _ => FailureKind::Lasting,
    };
    let advice = advice(settings, id, revision, status.as_u16(), code);
    HubFailure { cause: format!("{status}; {advice}"), kind }
}

/// What the caller can do.
fn advice(settings: &Settings, id: &str, revision: &str, status: u16, code: &str) -> String {
    match (status, code) {
        (_, "RevisionNotFound") => format!("{id} has no revision {revision}"),
        (_, "GatedRepo") => format!(
            "{id} is gated: ask for access at {}/{id}, and set HF_TOKEN to a token of that account",
            settings.endpoint
        ),
        (401 | 403, _) if settings.token.is_some() => {
            format!("the token does not open {id}: check HF_TOKEN or what `hf auth login` left, and the name")
        }
        (401 | 403, _) => {
            format!("{id} is private, or there is none: check the name, and set HF_TOKEN to a token that may read it")
        }
        (404, _) => "check the name, the revision, and the token if it is private".to_owned(),
        (429, _) => "too many requests: a token raises the limit".to_owned(),
        _ => "the hub is not well".to_owned(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs)
}

/// A header, if it is text.
pub fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
