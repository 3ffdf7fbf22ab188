//! How a client wants its answer, read as Cog reads it: the first header of a name counts, letter for letter.

use axum::http::header::{ACCEPT, HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the client does not wait for the end. No other spelling says so, and nothing may stand beside it.
pub(super) fn is_asynchronous(headers: &HeaderMap) -> bool {
    first(headers, &PREFER) == Some("respond-async")
}

/// Whether the client takes server-sent events, whatever else it takes.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = first(headers, &ACCEPT).unwrap_or_default();
    accept.split(',').any(|range| range.trim().split(';').next() == Some("text/event-stream"))
}

fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
