//! The span of a request or call, with the attributes that OpenTelemetry's conventions have for it. Paths, queries and headers are not
//! among them: they are what a client sent.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::Method;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::codes::CODES;
use crate::engine::Timings;
use crate::error::ErrorKind;
use crate::flight;
use crate::traces::{self, TARGET};

/// What stands for a name that a client invented.
const OTHER: &str = "_OTHER";

/// Codes that are the server's fault: the conventions have the others for the client's.
const FAULTS: [&str; 6] = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// A request that has a span, if anybody wants one.
pub struct RequestSpan {
    span: Span,
    protocol: Protocol,
    /// What its rows took.
    timings: Option<Arc<Timings>>,
}

#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Grpc,
}

impl RequestSpan {
    /// That of a request of HTTP, with its route's template where there is one.
    pub fn of_request(request: &mut Request, route: Option<&str>) -> Self {
        let method = method_name(request.method());
        let span = info_span!(
            target: TARGET, "request", otel.name = &*request_name(method, route), otel.kind = "server",
            http.request.method = method, http.route = route, http.response.status_code = Empty,
            error.type = Empty, otel.status_code = Empty,
            textflight.rows = Empty, textflight.queue_seconds = Empty, textflight.compute_seconds = Empty
        );
        Self::begin(span, Protocol::Http, request)
    }

    /// That of a call of gRPC.
    pub fn of_call(request: &mut Request) -> Self {
        let (service, method) = flight::rpc(request.uri().path()).unwrap_or((OTHER, OTHER));
        let span = info_span!(
            target: TARGET, "call", otel.name = format!("{service}/{method}"), otel.kind = "server",
            rpc.system = "grpc", rpc.service = service, rpc.method = method, rpc.grpc.status_code = Empty,
            error.type = Empty, otel.status_code = Empty,
            textflight.rows = Empty, textflight.queue_seconds = Empty, textflight.compute_seconds = Empty
        );
        Self::begin(span, Protocol::Grpc, request)
    }

    fn begin(span: Span, protocol: Protocol, request: &mut Request) -> Self {
        if span.is_disabled() {
            return Self { span, protocol, timings: None };
        }
        traces::adopt(&span, request.headers());
        let timings = Arc::new(Timings::default());
        request.extensions_mut().insert(Arc::clone(&timings));
        Self { span, protocol, timings: Some(timings) }
    }

    /// For what is done for the request.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// The last of the answer is made, or its client has gone.
    pub fn end(&self, code: &str, error: Option<ErrorKind>) {
        let Some(timings) = &self.timings else { return };
        let is_fault = match self.protocol {
            Protocol::Http => {
                self.span.record("http.response.status_code", code.parse().unwrap_or(0_i64));
                code.starts_with('5')
            }
            Protocol::Grpc => {
                let number = CODES.iter().position(|name| *name == code);
                self.span.record("rpc.grpc.status_code", number.unwrap_or(2) as i64);
                FAULTS.contains(&code)
            }
        };
        if is_fault {
            self.span.record("otel.status_code", "ERROR");
        }
        if is_fault || error.is_some() {
            self.span.record("error.type", error.map_or(code, |kind| kind.name()));
        }
        if timings.rows() > 0 {
            self.span.record("textflight.rows", timings.rows() as i64);
            self.span.record("textflight.queue_seconds", timings.queue().as_secs_f64());
            self.span.record("textflight.compute_seconds", timings.compute().as_secs_f64());
        }
        traces::end(&self.span);
    }
}

/// By its route's template, never by its path, which is what a client sent. A method that is none is called `HTTP` here.
fn request_name<'a>(method: &'a str, route: Option<&str>) -> Cow<'a, str> {
    let method = if method == OTHER { "HTTP" } else { method };
    route.map_or(Cow::Borrowed(method), |route| Cow::Owned(format!("{method} {route}")))
}

/// The methods that there are; what a client invents is another.
fn method_name(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    if known.contains(method) { method.as_str() } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_has_no_name() {
        assert_eq!(method_name(&Method::PATCH), "PATCH");
        assert_eq!(method_name(&Method::from_bytes(b"SECRET").unwrap()), "_OTHER");
        assert_eq!(request_name(OTHER, None), "HTTP");
        assert_eq!(request_name("GET", Some("/score")), "GET /score");
        assert_eq!(request_name("GET", None), "GET");
    }
}
