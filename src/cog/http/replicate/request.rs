//! The body of `POST /v1/predictions`, and how long its client waits.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use serde::Deserialize;

use crate::cog::http::request::PredictionRequest;
use crate::cog::http::sketch::Sketch;
use crate::cog::predictions::Event;

/// What a client of Replicate asks for. Fields that nobody knows are ignored.
#[derive(Debug, Default, Deserialize)]
pub struct CreateRequest {
    /// The version's id, or `owner/name:id`.
    pub version: Option<String>,
    input: Option<Sketch>,
    webhook: Option<String>,
    /// The older spelling of a webhook that hears of the end alone.
    webhook_completed: Option<String>,
    webhook_events_filter: Option<Vec<Event>>,
}

impl CreateRequest {
    /// The same as Cog has it.
    pub fn into_cog(self) -> PredictionRequest {
        let (webhook, events) = match (self.webhook, self.webhook_completed) {
            (None, Some(url)) => (Some(url), vec![Event::Completed]),
            (webhook, _) => (webhook, self.webhook_events_filter.unwrap_or_else(Event::all)),
        };
        PredictionRequest { input: self.input, webhook, webhook_events_filter: events, ..PredictionRequest::default() }
    }
}

/// The longest wait, which is also that of `Prefer: wait` without a number.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long a client wants to wait for its prediction; not at all unless it says so.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let prefer = headers.get(HeaderName::from_static("prefer"))?.to_str().ok()?;
    let mut preferences = prefer.split([',', ';']).map(str::trim);
    preferences.find_map(|preference| match preference.split_once('=') {
        None if preference.eq_ignore_ascii_case("wait") => Some(LONGEST_WAIT),
        Some((name, seconds)) if name.trim().eq_ignore_ascii_case("wait") => {
            let seconds = seconds.trim().parse().map_or(LONGEST_WAIT, Duration::from_secs);
            Some(seconds.min(LONGEST_WAIT))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_and_bounded() {
        let wait =
            |prefer: &str| wait(&HeaderMap::from_iter([(HeaderName::from_static("prefer"), prefer.parse().unwrap())]));
        assert_eq!(wait("wait"), Some(LONGEST_WAIT));
        assert_eq!(wait("respond-async, wait=5"), Some(Duration::from_secs(5)));
        assert_eq!(wait("wait=0"), Some(Duration::ZERO));
        assert_eq!(wait("Wait=1000"), Some(LONGEST_WAIT));
        assert_eq!(wait("respond-async"), None);
        assert_eq!(super::wait(&HeaderMap::new()), None);
    }
}
